package main

import (
	"fmt"

	"github.com/miekg/pkcs11"
)

const tokenLabel = "reference"

// initToken makes the one token; crypto11 itself only opens what is there.
func initToken(module, pin string) error {
	context := pkcs11.New(module)
	if context == nil {
		return fmt.Errorf("%s cannot be loaded", module)
	}
	defer context.Destroy()
	if err := context.Initialize(); err != nil {
		return err
	}
	// crypto11 initializes the module again, so that it finds the token.
	defer context.Finalize()
	slots, err := context.GetSlotList(true)
	if err != nil {
		return err
	}
	free := slots[len(slots)-1]
	if err := context.InitToken(free, pin, tokenLabel); err != nil {
		return err
	}
	session, err := context.OpenSession(free, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return err
	}
	if err := context.Login(session, pkcs11.CKU_SO, pin); err != nil {
		return err
	}
	return context.InitPIN(session, pin)
}

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

const chunkSize = 16 * 1024

type late struct {
	due  time.Time
	data []byte
}

// delay takes connections on loopback for the server at target, and passes on all bytes, TLS or not, half of a
// round trip late. It prints its address, and ends with standard input.
func delay(target string, roundTrip time.Duration) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				near.Close()
				continue
			}
			go pass(near, far, roundTrip/2)
			go pass(far, near, roundTrip/2)
		}
	}()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func pass(from, to net.Conn, by time.Duration) {
	under := make(chan late, 64)
	go func() {
		for {
			data := make([]byte, chunkSize)
			size, err := from.Read(data)
			if size > 0 {
				under <- late{time.Now().Add(by), data[:size]}
			}
			if err != nil {
				close(under)
				return
			}
		}
	}()
	for each := range under {
		time.Sleep(time.Until(each.due))
		if _, err := to.Write(each.data); err != nil {
			break
		}
	}
	to.Close()
	from.Close()
}

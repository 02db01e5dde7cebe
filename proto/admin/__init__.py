"""The admin service, generated from admin.proto."""

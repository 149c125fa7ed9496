// A service with Go's standard library. usage: go run net_smtp.go HOST PORT RECIPIENT
package main

import (
	"log"
	"net"
	"net/smtp"
	"os"
)

func main() {
	message, err := os.ReadFile("message.eml")
	if err != nil {
		log.Fatal(err)
	}
	if err := smtp.SendMail(net.JoinHostPort(os.Args[1], os.Args[2]), nil, "app@example.com", os.Args[3:], message); err != nil {
		log.Fatal(err)
	}
}

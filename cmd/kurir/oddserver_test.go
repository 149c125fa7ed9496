package main_test

import (
	"fmt"
	"io"
	"net"
	"os"
)

// oddServer takes connections and speaks anything but SMTP: "silent" says
// nothing at all, "http" answers as a web server does. It prints a line when
// it listens, and one for each connection.
func oddServer() {
	habit, addr := os.Args[1], os.Args[2]
	l, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening")
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Println("connection")
		go func() {
			defer conn.Close()
			if habit == "http" {
				fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request")
				return
			}
			_, _ = io.Copy(io.Discard, conn)
		}()
	}
}

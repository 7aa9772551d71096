// Holds a pod's namespaces open until it is told to end.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	// Where processes share their namespace, orphans come here, and an ignored SIGCHLD reaps them.
	signal.Ignore(syscall.SIGCHLD)
	<-ended
}

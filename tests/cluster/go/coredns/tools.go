//go:build tools

// Package tools holds a program of the cluster.
package tools

import _ "github.com/coredns/coredns"

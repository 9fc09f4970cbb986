// Package access is what protects the addresses of a process, whichever it is: which of them strangers reach, certificates
// that are read again while connections last, the login of the operators' address, and the log of who did what there. Who the
// users are, and whether a password is right, is package users'.
package access

package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNotifySystemd(t *testing.T) {
	for name, path := range map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": "@" + filepath.Join(t.TempDir(), "notify"),
	} {
		t.Run(name, func(t *testing.T) {
			manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer manager.Close()
			t.Setenv("NOTIFY_SOCKET", path)
			if err := notifySystemd("READY=1"); err != nil {
				t.Fatal(err)
			}
			manager.SetReadDeadline(time.Now().Add(10 * time.Second))
			buffer := make([]byte, 100)
			n, err := manager.Read(buffer)
			if err != nil || string(buffer[:n]) != "READY=1" {
				t.Errorf("the manager read %q, %v, want READY=1", buffer[:n], err)
			}
		})
	}
}

func TestNotifySystemdAbsent(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := notifySystemd("READY=1"); err != nil {
		t.Errorf("without a manager: %v", err)
	}
	for path, want := range map[string]string{
		"relative":                           "neither a path nor an abstract name",
		filepath.Join(t.TempDir(), "nobody"): "no such file",
	} {
		t.Setenv("NOTIFY_SOCKET", path)
		if err := notifySystemd("READY=1"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NOTIFY_SOCKET=%s: %v, want an error with %q", path, err, want)
		}
	}
}

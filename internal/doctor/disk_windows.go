package doctor

import (
	"syscall"
	"unsafe"
)

// freeSpace is how many bytes an ordinary user may still write in a folder.
func freeSpace(dir string) (uint64, error) {
	name, err := syscall.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	call := syscall.NewLazyDLL("kernel32.dll").NewProc("GetDiskFreeSpaceExW")
	if ok, _, err := call.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&free)), 0, 0); ok == 0 { //nolint:gosec // the call takes pointers
		return 0, err
	}
	return free, nil
}

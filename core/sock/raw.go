package sock

import (
	"syscall"
	"unsafe"
)

// rawRead and rawWrite are the system calls on a descriptor that never blocks, without telling the
// scheduler of a call that may: for calls this short that costs a tenth of the call itself.

func rawRead(fd int, p []byte) (int, syscall.Errno) {
	n, _, err := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), err
}

func rawWrite(fd int, p []byte) (int, syscall.Errno) {
	n, _, err := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), err
}

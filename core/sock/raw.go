package sock

import (
	"syscall"
	"unsafe"
)

// rawRead and rawWrite are recvfrom(2) and sendto(2) on a socket that never blocks. They do not
// tell the scheduler of a call that may block, and the kernel takes a shorter way through them than
// through read(2) and write(2); on small messages the two are worth some percent of an exchange.

func rawRead(fd int, p []byte) (int, syscall.Errno) {
	n, _, err := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), syscall.MSG_DONTWAIT, 0, 0)
	return int(n), err
}

func rawWrite(fd int, p []byte) (int, syscall.Errno) {
	n, _, err := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), syscall.MSG_DONTWAIT|msgNoSignal, 0, 0)
	return int(n), err
}

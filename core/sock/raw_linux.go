package sock

import "syscall"

const msgNoSignal = syscall.MSG_NOSIGNAL

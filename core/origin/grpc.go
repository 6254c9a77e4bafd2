package origin

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxMessage bounds a gRPC message, as grpc-go does by default.
const maxMessage = 4 << 20

// The gRPC status codes that are used here.
const (
	grpcOK       = 0
	grpcInvalid  = 3
	grpcExceeded = 8
)

func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// answerGRPC sends each message back as it comes: right for a unary call and for streams both
// ways, and no generated code is needed, since messages are never decoded.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md has the framing.
func answerGRPC(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", r.Header.Get("Content-Type"))
	if encoding := r.Header.Get("Grpc-Encoding"); encoding != "" {
		h.Set("Grpc-Encoding", encoding)
	}
	w.WriteHeader(http.StatusOK)
	code, message := grpcOK, ""
	if err := echoMessages(w, r); err != nil {
		code, message = err.code, err.text
	}
	h.Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(code))
	if message != "" {
		h.Set(http.TrailerPrefix+"Grpc-Message", message)
	}
}

type grpcError struct {
	code int
	text string
}

func echoMessages(w http.ResponseWriter, r *http.Request) *grpcError {
	repeat, err := strconv.Atoi(r.Header.Get("X-Origin-Repeat"))
	if err != nil || repeat < 0 {
		repeat = 1
	}
	flush := http.NewResponseController(w).Flush
	var frame []byte
	for {
		frame, err = readFrame(r.Body, frame)
		switch {
		case err == io.EOF:
			return nil
		case err == errMessageTooLarge:
			return &grpcError{grpcExceeded, err.Error()}
		case err != nil:
			return &grpcError{grpcInvalid, "message cut off"}
		}
		for range repeat {
			if _, err := w.Write(frame); err != nil {
				return nil
			}
			flush()
		}
	}
}

var errMessageTooLarge = fmt.Errorf("message is larger than %d bytes", maxMessage)

// readFrame reads a message with its five bytes of prefix into buf. It returns io.EOF only
// between two messages.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	var prefix [5]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return buf, err
	}
	size := binary.BigEndian.Uint32(prefix[1:])
	if size > maxMessage {
		return buf, errMessageTooLarge
	}
	buf = append(buf[:0], prefix[:]...)
	buf = append(buf, make([]byte, size)...)
	if _, err := io.ReadFull(r, buf[5:]); err != nil {
		return buf, io.ErrUnexpectedEOF
	}
	return buf, nil
}

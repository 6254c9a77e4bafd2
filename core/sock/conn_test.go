package sock_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core/sock"
)

// pair returns both ends of a TCP connection.
func pair(t *testing.T) (*sock.Conn, *sock.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return sock.New(a), sock.New(b)
}

// pool counts what is lent.
type pool struct{ lent, calls int }

func (p *pool) Get() []byte { p.lent++; p.calls++; return make([]byte, 64) }
func (p *pool) Put([]byte)  { p.lent-- }

func TestReadIntoHoldsNoBufferWhileItWaits(t *testing.T) {
	a, b := pair(t)
	bufs := &pool{}
	a.ReadTimeout(20 * time.Millisecond)
	if p, n, err := a.ReadInto(bufs); !sock.IsTimeout(err) || p != nil || n != 0 {
		t.Fatalf("got %q, %d, %v, due a timeout", p, n, err)
	}
	if bufs.lent != 0 {
		t.Errorf("%d buffers lent after a read that found nothing", bufs.lent)
	}
	a.ReadTimeout(5 * time.Second)
	if _, err := b.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	p, n, err := a.ReadInto(bufs)
	if err != nil || string(p[:n]) != "hello" {
		t.Fatalf("got %q, %v", p[:n], err)
	}
	bufs.Put(p)
	b.Close()
	if p, _, err := a.ReadInto(bufs); err != io.EOF || p != nil || bufs.lent != 0 {
		t.Errorf("at the end: %q, %v, %d lent", p, err, bufs.lent)
	}
}

func TestWriteReadSendsAndWaitsForTheAnswer(t *testing.T) {
	for _, size := range []int{1, 1000, 8 << 20} { // the largest does not fit the socket at once
		a, b := pair(t)
		out := strings.Repeat("x", size)
		got := make(chan int, 1)
		go func() {
			n, _ := io.ReadFull(b, make([]byte, size))
			got <- n
			b.Write([]byte("answer"))
		}()
		p := make([]byte, 64)
		a.ReadTimeout(10 * time.Second)
		sent, n, err := a.WriteRead([]byte(out), p)
		if err != nil || sent != size || string(p[:n]) != "answer" {
			t.Errorf("%d bytes: sent %d, got %q, %v", size, sent, p[:n], err)
		}
		if n := <-got; n != size {
			t.Errorf("the other end got %d of %d bytes", n, size)
		}
	}
}

func TestWriteReadReportsHowMuchWasSentBeforeTheEnd(t *testing.T) {
	a, b := pair(t)
	go func() {
		io.ReadFull(b, make([]byte, 3))
		b.Close()
	}()
	sent, _, err := a.WriteRead([]byte("abc"), make([]byte, 64))
	if err != io.EOF || sent != 3 {
		t.Errorf("sent %d, %v, due 3 and %v", sent, err, io.EOF)
	}
}

func TestStaleTellsAnIdleConnectionFromOneThatIsOver(t *testing.T) {
	a, b := pair(t)
	if a.Stale() {
		t.Error("an idle connection is stale")
	}
	if _, err := b.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bytes that nobody asked for", a.Stale)
	c, d := pair(t)
	d.Close()
	eventually(t, "a closed connection", c.Stale)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Errorf("%s: not seen", what)
}

func TestTimeoutsAreSetAnewOnlyWhenTheyMatter(t *testing.T) {
	a, _ := pair(t)
	a.ReadTimeout(time.Hour)
	a.ReadTimeout(10 * time.Millisecond)
	start := time.Now()
	if _, err := a.Read(make([]byte, 1)); !sock.IsTimeout(err) || time.Since(start) > time.Minute {
		t.Errorf("a shorter timeout: %v after %s", err, time.Since(start))
	}
	a.ReadTimeout(0)
	a.Interrupt()
	if _, err := a.Read(make([]byte, 1)); !sock.IsTimeout(err) {
		t.Errorf("interrupted: %v", err)
	}
	a.Uninterrupt()
	a.ReadTimeout(time.Millisecond)
	if _, err := a.Read(make([]byte, 1)); !sock.IsTimeout(err) {
		t.Errorf("after an interrupt: %v", err)
	}
}

// always lets every wait happen.
type always struct{}

func (always) BeforeRead() error { return nil }

func TestSpliceMovesBytesBetweenSockets(t *testing.T) {
	for _, size := range []int{1, 70_000, 3 << 20} {
		src, feed := pair(t)
		dst, sink := pair(t)
		body := strings.Repeat("0123456789", size/10+1)[:size]
		go feed.Write([]byte(body))
		got := make(chan string, 1)
		go func() {
			p := make([]byte, size)
			n, _ := io.ReadFull(sink, p)
			got <- string(p[:n])
		}()
		n, err := dst.Splice(src, int64(size), always{}, 10*time.Second)
		if err != nil || n != int64(size) {
			t.Errorf("%d bytes: moved %d, %v", size, n, err)
		}
		if s := <-got; s != body {
			t.Errorf("%d bytes: %d arrived, or others", size, len(s))
		}
	}
}

func TestSpliceTellsWhichSideFailed(t *testing.T) {
	src, feed := pair(t)
	dst, sink := pair(t)
	feed.Write([]byte("abc"))
	feed.Close()
	n, err := dst.Splice(src, 10, always{}, time.Second)
	var se *sock.SrcError
	if n != 3 || !errors.As(err, &se) || se.Err != io.EOF {
		t.Errorf("source ended: moved %d, %v", n, err)
	}
	src, feed = pair(t)
	sink.Close()
	go func() {
		for {
			if _, err := feed.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}()
	if _, err = dst.Splice(src, 1<<30, always{}, 5*time.Second); err == nil || errors.As(err, &se) {
		t.Errorf("destination gone: %v", err)
	}
}

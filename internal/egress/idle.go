package egress

import (
	"container/list"
	"sync"
	"time"
)

// idlePool keeps connections that no exchange uses. How many, and for how long, is bounded. It is safe for concurrent use.
type idlePool struct {
	most    int
	timeout time.Duration

	mu     sync.Mutex
	byAddr map[string][]*directConn // the one used last is last
	oldest *list.List               // of *directConn, by the time since which they are idle
	sweep  *time.Timer              // nil: none is idle
}

// spot is where an idle connection is in its pool's list.
type spot = *list.Element

func newIdlePool(most int, timeout time.Duration) *idlePool {
	return &idlePool{most: most, timeout: timeout, byAddr: map[string][]*directConn{}, oldest: list.New()}
}

// get takes out the connection to an address that was used last and is alive; nil if there is none.
func (p *idlePool) get(addr string) *directConn {
	for {
		c := p.pop(addr)
		if c == nil || time.Since(c.since) < p.timeout && alive(c.Conn) {
			return c
		}
		c.Close()
	}
}

func (p *idlePool) pop(addr string) *directConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	conns := p.byAddr[addr]
	if len(conns) == 0 {
		return nil
	}
	c := conns[len(conns)-1]
	p.remove(c, len(conns)-1)
	return c
}

// remove takes out a connection; at is its place among those to its address. p.mu is held.
func (p *idlePool) remove(c *directConn, at int) {
	conns := p.byAddr[c.addr]
	copy(conns[at:], conns[at+1:])
	conns[len(conns)-1] = nil
	if conns = conns[:len(conns)-1]; len(conns) == 0 {
		delete(p.byAddr, c.addr)
	} else {
		p.byAddr[c.addr] = conns
	}
	p.oldest.Remove(c.spot)
}

// put keeps a connection, at the cost of the one that has been idle longest if there are too many.
func (p *idlePool) put(c *directConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.since = time.Now()
	c.spot = p.oldest.PushBack(c)
	p.byAddr[c.addr] = append(p.byAddr[c.addr], c)
	if p.oldest.Len() > p.most {
		p.dropOldest()
	}
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.timeout, p.expire)
	}
}

// dropOldest closes the connection that has been idle longest: the first of those to its address. p.mu is held.
func (p *idlePool) dropOldest() {
	c := p.oldest.Front().Value.(*directConn)
	p.remove(c, 0)
	c.Close()
}

// expire closes what has been idle for too long, and sees to what will be.
func (p *idlePool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for front := p.oldest.Front(); front != nil; front = p.oldest.Front() {
		if left := p.timeout - time.Since(front.Value.(*directConn).since); left > 0 {
			p.sweep.Reset(left)
			return
		}
		p.dropOldest()
	}
	p.sweep = nil
}

// closeAll closes what is idle.
func (p *idlePool) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.oldest.Len() > 0 {
		p.dropOldest()
	}
	if p.sweep != nil {
		p.sweep.Stop()
		p.sweep = nil
	}
}

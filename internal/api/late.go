package api

import (
	"sync"

	"github.com/postrider/postrider"
)

// late gives the memory budget back of requests that were given up before the log had done with their bytes: what the log still
// holds must be counted, or a client that comes again and again while a disk hangs would have it hold any amount.
type late struct {
	mu   sync.Mutex
	held map[*postrider.Commit][]func()
}

// release calls f once the commit is done: now, if it is.
func (l *late) release(commit *postrider.Commit, f func()) {
	select {
	case <-commit.Done():
		f()
		return
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[*postrider.Commit][]func(){}
	}
	l.held[commit] = append(l.held[commit], f)
	if len(l.held[commit]) == 1 { // many requests share a commit
		go l.wait(commit)
	}
}

func (l *late) wait(commit *postrider.Commit) {
	<-commit.Done()
	l.mu.Lock()
	all := l.held[commit]
	delete(l.held, commit)
	l.mu.Unlock()
	for _, f := range all {
		f()
	}
}

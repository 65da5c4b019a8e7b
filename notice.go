package postrider

// Notice is an event of Postrider's own that waits to be published: it was stored in the transaction of what it tells of.
type Notice struct {
	ID    int64
	Event Event // payload in hand; no position
}

package filestore

// slowLock is a mutex that is held while the disk is written. It is a channel,
// since the simulation in package simtest, which holds back the disk's
// operations, sees who waits for a channel and does not see who waits for a
// sync.Mutex.
type slowLock chan struct{}

func newSlowLock() slowLock { return make(slowLock, 1) }

func (l slowLock) Lock()   { l <- struct{}{} }
func (l slowLock) Unlock() { <-l }

func (l slowLock) TryLock() bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return false
	}
}

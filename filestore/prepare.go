package filestore

// preparer makes the next segment's file while the active one fills: its name
// is durable and its blocks are zeroed before they are needed. It keeps pace
// with the filling, so that it never takes more of the disk than the writer does.
type preparer struct {
	s    *Store
	wake chan struct{}
	done chan struct{} // closed when the goroutine has ended

	mu     slowLock // held while a piece is zeroed
	spare  *segment
	number uint64 // of the active segment
	target int64  // bytes of the spare to have zeroed; 0 while it is not to be made
	closed bool

	asked   uint64 // the writer's own: the segment
	askedAt int64  // and offset that progress was last passed on for
}

const zeroPiece = 1 << 20

func newPreparer(s *Store) *preparer {
	p := &preparer{s: s, mu: newSlowLock(), wake: make(chan struct{}, 1), done: make(chan struct{})}
	go p.run()
	return p
}

// progress says that segment number is filled up to off.
func (p *preparer) progress(number uint64, off int64) {
	size, next := p.s.sizeOf(number), p.s.sizeOf(number+1)
	if off < size/4 || number == p.asked && off < p.askedAt+zeroPiece/2 {
		return
	}
	if !p.mu.TryLock() {
		return // it is at work, and the next group will ask again
	}
	p.asked, p.askedAt = number, off
	p.number = number
	p.target = min((off-size/4)*3/2*(next/size)+zeroPiece, next)
	behind := p.spare == nil || p.spare.zeroed < p.target
	p.mu.Unlock()
	if behind {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

func (p *preparer) run() {
	defer close(p.done)
	for range p.wake {
		for p.step() {
		}
		p.mu.Lock()
		closed := p.closed
		p.mu.Unlock()
		if closed {
			return
		}
	}
}

// step makes the spare, or zeroes a piece of it, and reports whether there is more to do.
func (p *preparer) step() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.target == 0 {
		return false
	}
	if p.spare == nil {
		// An error, such as a full disk, shows when the writer needs the file.
		p.spare, _ = p.s.createSegment(p.number + 1)
		return p.spare != nil
	}
	if p.spare.zeroed >= p.target {
		return false
	}
	piece := zeros[:min(zeroPiece, p.target-p.spare.zeroed)]
	n, err := p.spare.file.WriteAt(piece, p.spare.zeroed)
	p.spare.zeroed += int64(n)
	if err == nil {
		err = p.spare.file.Sync()
	}
	if err != nil {
		p.target = 0
		return false
	}
	return true
}

// take returns the file of segment number, prepared or made now.
func (p *preparer) take(number uint64) (*segment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = 0
	if seg := p.spare; seg != nil && seg.number == number {
		p.spare = nil
		return seg, nil
	}
	return p.s.createSegment(number)
}

// giveBack takes back the file of a segment that could not be begun.
func (p *preparer) giveBack(seg *segment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spare == nil {
		p.spare = &segment{number: seg.number, file: seg.file, name: seg.name, zeroed: seg.zeroed}
	}
}

// close ends the goroutine and removes the spare.
func (p *preparer) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	<-p.done
	if p.spare != nil {
		p.spare.file.Close()
		_ = p.s.opts.FS.Remove(p.spare.name)
	}
}

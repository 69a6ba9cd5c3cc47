package filestore

// waker answers the requests of large groups, so that the writer can go on with
// the next group while their callers are woken.
type waker struct {
	todo  chan []*request
	free  chan []*request // their memory, to be used again
	ended chan struct{}
}

func newWaker() *waker {
	k := &waker{todo: make(chan []*request, 1), free: make(chan []*request, 2), ended: make(chan struct{})}
	go k.run()
	return k
}

func (k *waker) run() {
	defer close(k.ended)
	for answered := range k.todo {
		for _, r := range answered {
			r.answer()
		}
		clear(answered)
		select {
		case k.free <- answered[:0]:
		default:
		}
	}
}

// answer answers the requests, by itself if they are many, and returns the
// memory for the next ones.
func (k *waker) answer(all []*request) []*request {
	const many = 16
	if len(all) < many {
		for _, r := range all {
			r.answer()
		}
		clear(all)
		return all[:0]
	}
	k.todo <- all
	select {
	case memory := <-k.free:
		return memory
	default:
		return nil
	}
}

// close waits until every request has been answered.
func (k *waker) close() {
	close(k.todo)
	<-k.ended
}

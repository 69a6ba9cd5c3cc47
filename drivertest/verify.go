package drivertest

import "github.com/annals-db/annals/driver"

var verifyTests = []test{
	{"a sound log has no faults", func(e *env) {
		v := capability[driver.Verifier](e)
		for range 2 {
			var done, total driver.Position
			for err := range v.Verify(e.ctx, func(d, t driver.Position) { done, total = d, t }) {
				e.Errorf("Verify: %v", err)
			}
			if head := e.head(); done != head || total != head {
				e.Errorf("Verify told %d of %d done, the head is %d", done, total, head)
			}
			zoo(e)
			e.append(e.events("item-1", 100)...)
		}
	}},
	{"verifying runs beside appends and may be left", func(e *env) {
		v := capability[driver.Verifier](e)
		e.append(e.events("item-1", 100)...)
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 100 {
				if _, err := e.log.Append(e.ctx, driver.Batch{Events: e.events("item-1", 2)}); err != nil {
					e.Errorf("Append: %v", err)
				}
			}
			close(stop)
		}()
		for running := true; running; {
			select {
			case <-stop:
				running = false
			default:
			}
			for err := range v.Verify(e.ctx, nil) {
				e.Errorf("Verify: %v", err)
			}
		}
		<-done
	}},
}

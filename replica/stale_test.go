package replica

import (
	"errors"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
)

// A server that was paused answers for a while as if nothing had happened since.
func TestAStreamThatIsSaidToEndTooEarlyIsLostOnlyWhenThatStays(t *testing.T) {
	s := &Store{tail: tail{seq: 10}}
	now := time.Now()
	for _, step := range []struct {
		end   uint64
		after time.Duration
		lost  bool
	}{
		{4, 0, false},
		{4, staleAnswers - 1, false},
		{10, staleAnswers, false}, // another answers
		{4, staleAnswers + 1, false},
		{9, 2 * staleAnswers, false},
		{9, 2*staleAnswers + 1, true},
		{11, 3 * staleAnswers, false},
	} {
		err := s.behind(step.end, now.Add(step.after))
		var lost *lostError
		if errors.As(err, &lost) != step.lost {
			t.Errorf("an end at %d after %s: %v", step.end, step.after, err)
		}
		if err != nil && s.permanent(err) != step.lost {
			t.Errorf("an end at %d after %s stops the node: %v", step.end, step.after, err)
		}
		if step.end < 10 && !step.lost && !errors.Is(err, driver.ErrUnavailable) {
			t.Errorf("an end at %d after %s: %v", step.end, step.after, err)
		}
	}
}

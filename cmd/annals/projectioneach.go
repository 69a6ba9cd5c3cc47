package main

import (
	"context"
	"errors"
	"sync"

	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/projection/declared"
)

// each calls f while versions run, each for itself: what ends one leaves the
// others running. Its context ends when none is left. What ended them is
// returned; with tell, it is also told at once where others go on.
func (o *projecting) each(ctx context.Context, a *app, versions []*declared.Version, tell bool, f func(context.Context, []*projection.Runner) error) error {
	runners, err := o.runners(ctx, a, versions)
	if err != nil {
		return err
	}
	here := &sync.Map{}
	var names []string
	for _, v := range versions {
		here.Store(v.Name+" "+v.Version, true)
		names = append(names, v.Name)
	}
	inner, cancel := context.WithCancel(ctx)
	var errs []error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		errs = a.eachForItself(inner, "projection", names, tell, func(i int) error { return o.runOn(inner, a, here, versions[i], runners[i]) })
		cancel()
	}()
	err = f(inner, runners)
	cancel()
	<-ended
	if ctx.Err() == nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = errors.Join(errs...)
	}
	return err
}

// runOn runs a version and, when another one takes its place, that one, unless
// it runs here already.
func (o *projecting) runOn(ctx context.Context, a *app, here *sync.Map, v *declared.Version, r *projection.Runner) error {
	for {
		err := r.Run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, projection.ErrRetired) {
			return err
		}
		here.Delete(v.Name + " " + v.Version)
		next, failed := o.live(ctx, a, v.Name)
		if failed != nil {
			return failed
		}
		if next.Version == v.Version {
			return err
		}
		v = next
		if _, runs := here.LoadOrStore(v.Name+" "+v.Version, true); runs {
			return nil
		}
		t, err := o.at(ctx, a.targetOf(o, v.Name))
		if err != nil {
			return err
		}
		if r, err = v.Open(ctx, t, a.logger()); err != nil {
			return err
		}
	}
}

// live returns the live version of a projection, which must be declared.
func (o *projecting) live(ctx context.Context, a *app, name string) (*declared.Version, error) {
	c, err := o.control(ctx, a, name)
	if err != nil {
		return nil, err
	}
	all, err := c.Status(ctx, name) // the live one first
	if err != nil {
		return nil, err
	}
	v, err := a.declaredVersion(name, all[0].Version)
	if err != nil {
		return nil, notDeclared(a, &all[0])
	}
	return v, nil
}

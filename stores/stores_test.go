package stores_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/stores"
)

func Example() {
	log, err := stores.Open(context.Background(), "mem:", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	info, err := log.Info(context.Background())
	fmt.Println(info.Store, info.Durability, err)
	// Output: memory memory <nil>
}

func TestAStoreIsOpenedByItsURL(t *testing.T) {
	dir := t.TempDir()
	id := driver.ID{1, 2, 3}
	for url, store := range map[string]string{
		"mem:": "memory", "file:" + filepath.Join(dir, "log"): "file", "sqlite:" + filepath.Join(dir, "log.db"): "sqlite",
	} {
		log, err := stores.Open(t.Context(), url, &stores.Options{LogID: id})
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		info, err := log.Info(t.Context())
		if info.Store != store || info.LogID != id || err != nil {
			t.Errorf("%s is the store %q, log %s, %v", url, info.Store, info.LogID, err)
		}
		if err := log.Close(); err != nil {
			t.Errorf("%s: Close: %v", url, err)
		}
	}
}

func TestWhatIsNotThereIsNotMadeToBeRead(t *testing.T) {
	dir := t.TempDir()
	for _, url := range []string{"file:" + filepath.Join(dir, "log"), "sqlite:" + filepath.Join(dir, "log.db")} {
		_, err := stores.Open(t.Context(), url, &stores.Options{ReadOnly: true})
		if !errors.Is(err, driver.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("there is now %q", left)
	}
}

func TestAURLThatNamesNoStoreIsRefusedByName(t *testing.T) {
	for url, reason := range map[string]string{
		"log":                            "did you mean file:log?",
		"mysql://u:secret@h/d":           `stores of kind "mysql" are not in this build`,
		"file:":                          "it names no directory",
		"sqlite:":                        "it names no file",
		"postgres://u:secret/x@h/d":      "invalid port",
		"nats://u:secret@h/log":          "say in which directory",
		"nats://h/log?dir=d&shards=3":    `there is no parameter "shards"`,
		"nats://h/log?dir=d&replicas=-1": "replicas=-1 is not a number from 1",
	} {
		_, err := stores.Open(t.Context(), url, nil)
		var wrong *stores.URLError
		if !errors.As(err, &wrong) || !strings.Contains(wrong.Reason, reason) {
			t.Errorf("%s: %v, want %q", url, err, reason)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the password: %v", url, err)
		}
	}
}

func TestIsURL(t *testing.T) {
	for text, want := range map[string]bool{"mem:": true, "file:x": true, "postgres://h/d": true, "x": false, "seal.jsonl": false, "c:x": false} {
		if got := stores.IsURL(text); got != want {
			t.Errorf("IsURL(%q) is %v", text, got)
		}
	}
}

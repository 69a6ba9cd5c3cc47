package filestore

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strings"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
)

// ErrNotStore is wrapped by the error of opening a directory that holds
// something other than a store.
var ErrNotStore = errors.New("it is not an Annals store")

// missingError says that there is no store where one must be.
type missingError struct{}

func (missingError) Error() string { return "there is no store" }

// Is makes errors.Is true of what callers ask for.
func (missingError) Is(target error) bool {
	return target == driver.ErrNotFound || target == fs.ErrNotExist
}

// FormatError says that a store is of a format that this version cannot read.
type FormatError struct {
	Version   string // of the store
	Supported int    // the newest that can be read
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("the store is of format %s, and this version of Annals reads formats up to %d", e.Version, e.Supported)
}

// The file ANNALS makes a directory a store. It is text, of three lines, and is
// never changed:
//
//	annals filestore 1
//	log 0198f0c4-…
//	crc32c 1f2e3d4c       of the two lines before
const identityForm = "annals filestore %d\nlog %s\n"

func appendIdentity(b []byte, id driver.ID) []byte {
	start := len(b)
	b = fmt.Appendf(b, identityForm, FormatVersion, id)
	return fmt.Appendf(b, "crc32c %08x\n", crc32.Checksum(b[start:], castagnoli))
}

func parseIdentity(b []byte) (driver.ID, error) {
	lines := strings.SplitN(string(b), "\n", 4)
	version, ok := strings.CutPrefix(lines[0], "annals filestore ")
	if !ok {
		return driver.ID{}, fmt.Errorf("%w: the file %s does not begin as it must", ErrNotStore, identityName)
	}
	if version != fmt.Sprint(FormatVersion) {
		return driver.ID{}, &FormatError{Version: version, Supported: FormatVersion}
	}
	bad := &driver.CorruptError{Position: 1, Place: identityName, Reason: "its checksum does not match"}
	if len(lines) != 4 {
		return driver.ID{}, bad
	}
	id, err := uuid.Parse(strings.TrimPrefix(lines[1], "log "))
	if err != nil || string(appendIdentity(nil, id)) != string(b) {
		return driver.ID{}, bad
	}
	return id, nil
}

// identity reads the log's ID.
func (s *Store) identity() (driver.ID, error) {
	b, err := s.readFile(s.dir + "/" + identityName)
	if err != nil {
		return driver.ID{}, err
	}
	return parseIdentity(b)
}

func (s *Store) writeIdentity(id driver.ID) error {
	return s.replaceFile(s.dir+"/"+identityName, writeAll(appendIdentity(nil, id)))
}

func newLogID() driver.ID { return uuid.New() }

// newEpoch returns the number by which what this opening writes is told from
// what others wrote.
func newEpoch() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint32(b[:]) | 1
}

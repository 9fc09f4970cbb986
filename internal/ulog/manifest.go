package ulog

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/futago/futago/internal/vfs"
)

// Identity names one life of a log. It is new whenever what was written may have been lost, so that a position in what
// was lost is never mistaken for one in what came after.
type Identity [16]byte

func (id Identity) String() string { return hex.EncodeToString(id[:]) }

func (id Identity) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

func (id *Identity) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(id) {
		return fmt.Errorf("identity of %d characters", len(b))
	}
	_, err := hex.Decode(id[:], b)
	return err
}

// manifest says which files are the log. It is small, and replaced whole.
type manifest struct {
	Format     int           `json:"format"`
	Node       int           `json:"node"`
	Identity   Identity      `json:"identity"`
	Past       []pastLife    `json:"past,omitempty"` // earlier identities, oldest first
	Seed       uint64        `json:"seed"`           // of the key hash
	Boot       string        `json:"boot"`           // run of the machine that wrote last
	Clean      bool          `json:"clean"`          // closed in order: nothing is missing at the end
	NextID     uint64        `json:"next_id"`
	StreamFrom uint64        `json:"stream_from"` // entries up to here may be missing: compacted
	Holes      []hole        `json:"holes,omitempty"`
	Segments   []segmentItem `json:"segments"` // oldest first
}

// pastLife is an earlier identity and the last sequence that it shares with the present one.
type pastLife struct {
	Identity Identity `json:"identity"`
	Last     uint64   `json:"last"`
}

// newLife begins another identity: what the old one wrote behind last is lost.
func (m *manifest) newLife(last uint64) {
	for i := range m.Past {
		m.Past[i].Last = min(m.Past[i].Last, last)
	}
	m.Past = append(m.Past, pastLife{m.Identity, last})
	if n := len(m.Past); n > maxPast {
		m.Past = m.Past[n-maxPast:]
	}
	m.Identity = randomIdentity()
}

type segmentItem struct {
	ID     uint64 `json:"id"`
	Kind   uint16 `json:"kind"`
	Size   int64  `json:"size"`             // of the file, which never changes
	Sealed bool   `json:"sealed,omitempty"` // whole and synced; has a hint file
	Used   int64  `json:"used,omitempty"`   // sealed: end of the entries
	First  uint64 `json:"first,omitempty"`  // sealed
	Last   uint64 `json:"last,omitempty"`   // sealed
}

const (
	manifestName = "MANIFEST"
	// maxPast bounds the kept identities; a peer further back gets a snapshot.
	maxPast = 64
	// maxFile is more than a segment with the largest value has.
	maxFile = 1 << 31
	// maxManifest bounds what is read: 8192 segments of some 100 bytes.
	maxManifest = 4 << 20
)

func loadManifest(fs vfs.FS) (*manifest, error) {
	f, err := fs.Open(manifestName)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open manifest: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxManifest))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	m, err := decodeManifest(b)
	if err != nil {
		if errors.Is(err, errFormat) {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		return nil, &CorruptError{Segment: manifestName, Err: err}
	}
	return m, nil
}

// errNoManifest is what a folder without a log says.
var errNoManifest = fmt.Errorf("folder has no %s: it is not a data folder", manifestName)

// noManifest says what a folder without a manifest is: damaged, when it has segments, or errNoManifest.
func noManifest(fs vfs.FS) error {
	names, err := fs.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, ok := itemOf(name); ok {
			return &CorruptError{Segment: manifestName, Err: errors.New("the file is missing, segments are there")}
		}
	}
	return errNoManifest
}

// decodeManifest reads one line of checksum and the JSON after it.
func decodeManifest(b []byte) (*manifest, error) {
	head, body, ok := bytes.Cut(b, []byte("\n"))
	var want uint32
	if n, err := fmt.Sscanf(string(head), "futago manifest %08x", &want); !ok || n != 1 || err != nil {
		return nil, fmt.Errorf("no manifest")
	}
	if got := crc32.Checksum(body, castagnoli); got != want {
		return nil, fmt.Errorf("bad checksum: got %08x want %08x", got, want)
	}
	m := &manifest{}
	if err := json.Unmarshal(body, m); err != nil {
		return nil, err
	}
	if m.Format != formatVersion {
		return nil, fmt.Errorf("%w %d, this program knows %d", errFormat, m.Format, formatVersion)
	}
	if len(m.Segments) > maxSlots {
		return nil, fmt.Errorf("%d segments", len(m.Segments))
	}
	for _, it := range m.Segments {
		if it.Kind != kindLog && it.Kind != kindCompacted || it.Size < segmentHeader || it.Size > maxFile || it.Used < 0 || it.Used > it.Size {
			return nil, fmt.Errorf("segment %d of kind %d with %d bytes, %d used", it.ID, it.Kind, it.Size, it.Used)
		}
	}
	return m, nil
}

func encodeManifest(m *manifest) ([]byte, error) {
	body, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	body = append(body, '\n')
	return append(fmt.Appendf(nil, "futago manifest %08x\n", crc32.Checksum(body, castagnoli)), body...), nil
}

func storeManifest(fs vfs.FS, m *manifest) error {
	b, err := encodeManifest(m)
	if err == nil {
		err = writeFile(fs, manifestName, b, nil)
	}
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// errFormat is a file of another version of the program.
var errFormat = errors.New("log has format version")

// errInDoubt is wrapped by an error of writeFile after which the old or the new content may be found.
var errInDoubt = errors.New("old or new content may be on disk")

// writeFile replaces a whole file: under a temporary name, synced, renamed, the folder synced.
func writeFile(fs vfs.FS, name string, b []byte, pace *breather) error {
	tmp := name + ".tmp"
	fs.Remove(tmp)
	f, err := fs.Create(tmp)
	if err != nil {
		return err
	}
	err = writeEasily(f, b, pace)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		fs.Remove(tmp)
		return err
	}
	if err = fs.Rename(tmp, name); err == nil {
		err = fs.SyncDir()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errInDoubt, err)
	}
	return nil
}

package bench

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// copyOut is what COPY writes of rows of two columns, the second of which may be null.
func copyOut(rows ...string) []byte {
	b := append([]byte("PGCOPY\n\xff\r\n\x00"), 0, 0, 0, 0, 0, 0, 0, 0)
	for _, row := range rows {
		b = binary.BigEndian.AppendUint16(b, 2)
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(row))), row...)
		b = binary.BigEndian.AppendUint32(b, 0xffffffff)
	}
	return append(b, 0xff, 0xff)
}

func TestDivide(t *testing.T) {
	t.Parallel()
	parts, rows, err := divide(copyOut("one", "", "three", "\xff\xff", "five"), 2)
	if err != nil || rows != 5 || len(parts) != 2 {
		t.Fatalf("%d rows in %d parts, %v", rows, len(parts), err)
	}
	for i, want := range [][]byte{copyOut("one", ""), copyOut("three", "\xff\xff", "five")} {
		if !bytes.Equal(parts[i], want) {
			t.Errorf("part %d is %q, not %q", i, parts[i], want)
		}
	}
	if parts, rows, err = divide(copyOut(), 3); err != nil || rows != 0 || len(parts) != 3 || !bytes.Equal(parts[2], copyOut()) {
		t.Errorf("of nothing: %d rows, %q, %v", rows, parts, err)
	}
	whole := copyOut("one", "two")
	for n := range whole {
		if _, _, err := divide(whole[:n], 1); err == nil {
			t.Errorf("cut off after %d bytes, it is taken", n)
		}
	}
}

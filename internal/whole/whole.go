// Package whole writes files and folders that appear under their name only when
// they are whole, so that nothing half-written stays behind an error, a full
// disk or Ctrl-C.
package whole

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a file under way. Only its owner may read it.
type File struct {
	*os.File
	// path is the name that it gets; "" for what is no regular file, such as a
	// pipe or /dev/stdout, which is written to as it is.
	path string
}

// Create begins a file.
func Create(path string) (*File, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil, fmt.Errorf("write %s: it is a folder; name a file in it", path)
	case err == nil && !info.Mode().IsRegular():
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, named(path, err)
		}
		return &File{f, ""}, nil
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a link stays one
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part*")
	if err != nil {
		return nil, named(path, err)
	}
	return &File{f, path}, nil
}

// named says which file an error is about, in place of the one under way.
func named(path string, err error) error {
	var about *fs.PathError
	if errors.As(err, &about) {
		err = about.Err
	}
	return fmt.Errorf("write %s: %w", path, err)
}

// Write says which file it was when it fails.
func (f *File) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if err != nil {
		name := f.path
		if name == "" {
			name = f.Name()
		}
		err = named(name, err)
	}
	return n, err
}

// End gives the file its name, unless err says that it is not whole: then it is
// gone. It returns err, or what else went wrong.
func (f *File) End(err error) error {
	err = errors.Join(err, f.Close())
	if f.path == "" {
		return err
	}
	if err == nil {
		if err = os.Rename(f.Name(), f.path); err == nil {
			return nil
		}
		err = named(f.path, err)
	}
	return errors.Join(err, os.Remove(f.Name()))
}

// Folder is a folder under way.
type Folder struct {
	// Dir is where its files are written to until they are whole.
	Dir  string
	path string
	// there is true when path is a folder already, to which the files come.
	there bool
}

// CreateFolder begins a folder. One that is there keeps what it has beside the
// new files.
func CreateFolder(path string) (*Folder, error) {
	info, err := os.Stat(path)
	there := err == nil
	if there && !info.IsDir() {
		return nil, fmt.Errorf("write %s: it is a file; name a folder", path)
	}
	beside, name := filepath.Dir(path), filepath.Base(path)+".part*"
	if there {
		beside, name = path, ".part*"
	}
	if err := os.MkdirAll(beside, 0o700); err != nil {
		return nil, named(path, err)
	}
	dir, err := os.MkdirTemp(beside, name)
	if err != nil {
		return nil, named(path, err)
	}
	return &Folder{dir, path, there}, nil
}

// WriteFile writes a file of the folder.
func (d *Folder) WriteFile(name string, content []byte, mode fs.FileMode) error {
	if err := os.WriteFile(filepath.Join(d.Dir, name), content, mode); err != nil {
		return named(filepath.Join(d.path, name), err)
	}
	return nil
}

// End gives the folder its name, or its files their place in it, unless err says
// that they are not whole: then they are gone.
func (d *Folder) End(err error) error {
	if err == nil {
		err = d.move()
	}
	return errors.Join(err, os.RemoveAll(d.Dir))
}

func (d *Folder) move() error {
	if !d.there {
		if err := os.Rename(d.Dir, d.path); err != nil {
			return named(d.path, err)
		}
		return nil
	}
	entries, err := os.ReadDir(d.Dir)
	if err != nil {
		return named(d.path, err)
	}
	for _, e := range entries {
		to := filepath.Join(d.path, e.Name())
		if err := os.Rename(filepath.Join(d.Dir, e.Name()), to); err != nil {
			return named(to, err)
		}
	}
	return nil
}

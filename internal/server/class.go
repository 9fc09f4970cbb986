package server

import (
	"net/http"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/tyrant"
)

// class is what requests are put together as where their times are told.
type class uint8

const (
	classOther class = iota // of memcached's protocols
	classGet
	classSet
	classDelete
	classIncr
	classTouch
	classFlush
	classMetaGet
	classMetaSet
	classMetaDelete
	classMetaArith
	classTyrantGet
	classTyrantPut
	classTyrantOut
	classTyrantAdd
	classTyrantList
	classTyrantScript
	classTyrantOther
	classHTTPGet
	classHTTPPut
	classHTTPDelete
	classHTTPPost
	classes
)

var classNames = [classes]string{
	"other", "get", "set", "delete", "incr", "touch", "flush_all", "meta_get", "meta_set", "meta_delete", "meta_arithmetic",
	"tyrant_get", "tyrant_put", "tyrant_out", "tyrant_add", "tyrant_list", "tyrant_script", "tyrant_other",
	"http_get", "http_put", "http_delete", "http_post",
}

// writes reports whether requests of the class are counted as writes of their key.
func (c class) writes() bool {
	switch c {
	case classOther, classGet, classMetaGet, classTyrantGet, classTyrantList, classTyrantOther, classHTTPGet:
		return false
	}
	return true
}

// aside reports whether requests of the class run beside the network loops, so that each of them can be timed.
func (c class) aside() bool {
	return c == classTyrantScript || c == classTyrantList || c == classHTTPPost
}

var textClasses = [...]class{
	memcache.OpGet: classGet, memcache.OpGets: classGet, memcache.OpGat: classTouch, memcache.OpGats: classTouch,
	memcache.OpSet: classSet, memcache.OpAdd: classSet, memcache.OpReplace: classSet, memcache.OpAppend: classSet,
	memcache.OpPrepend: classSet, memcache.OpCAS: classSet, memcache.OpDelete: classDelete, memcache.OpIncr: classIncr,
	memcache.OpDecr: classIncr, memcache.OpTouch: classTouch, memcache.OpFlushAll: classFlush, memcache.OpMetaGet: classMetaGet,
	memcache.OpMetaSet: classMetaSet, memcache.OpMetaDelete: classMetaDelete, memcache.OpMetaArith: classMetaArith,
	memcache.OpError: classOther,
}

func binaryClass(o memcache.Opcode) class {
	switch o {
	case memcache.OpcodeGet, memcache.OpcodeGetK:
		return classGet
	case memcache.OpcodeSet, memcache.OpcodeAdd, memcache.OpcodeReplace, memcache.OpcodeAppend, memcache.OpcodePrepend:
		return classSet
	case memcache.OpcodeDelete:
		return classDelete
	case memcache.OpcodeIncr, memcache.OpcodeDecr:
		return classIncr
	case memcache.OpcodeTouch, memcache.OpcodeGat, memcache.OpcodeGatK:
		return classTouch
	case memcache.OpcodeFlush:
		return classFlush
	}
	return classOther
}

func httpClass(method string) class {
	switch method {
	case http.MethodPut:
		return classHTTPPut
	case http.MethodDelete:
		return classHTTPDelete
	case http.MethodPost:
		return classHTTPPost
	}
	return classHTTPGet
}

func tyrantClass(c tyrant.Command) class {
	switch c {
	case tyrant.Get, tyrant.VSiz:
		return classTyrantGet
	case tyrant.Put, tyrant.PutKeep, tyrant.PutCat, tyrant.PutShl, tyrant.PutNR:
		return classTyrantPut
	case tyrant.Out:
		return classTyrantOut
	case tyrant.AddInt, tyrant.AddDouble:
		return classTyrantAdd
	case tyrant.MGet, tyrant.FwmKeys, tyrant.IterInit, tyrant.IterNext, tyrant.Misc:
		return classTyrantList
	case tyrant.Ext:
		return classTyrantScript
	}
	return classTyrantOther
}

// class is that of the request that the worker executed last for the session.
func (s *session) class(w *worker) class {
	switch s.proto {
	case isBinary:
		return binaryClass(w.breq.Op)
	case isTyrant:
		return tyrantClass(w.treq.Command)
	case isHTTP:
		return classHTTPGet
	}
	return textClasses[w.mreq.Op]
}

// subject is the key of that request, of several the first; empty where there is none.
func (s *session) subject(w *worker) []byte {
	switch s.proto {
	case isBinary:
		return w.breq.Key
	case isTyrant:
		if r := &w.treq; r.Command == tyrant.MGet && len(r.Args) > 0 {
			return r.Args[0]
		}
		return w.treq.Key
	case isHTTP:
		return w.key
	}
	if r := &w.mreq; r.Op > memcache.OpGats {
		return r.Key
	}
	asked := w.asked
	key, _ := asked.Next()
	return key
}

package server

import (
	"net/http"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/tyrant"
)

// replyForbidden answers a command of memcached's text protocol that the mask forbids. Source: Tokyo Tyrant 1.1.41, which answers
// a masked get with END and a masked stats not at all.
const replyForbidden = "CLIENT_ERROR forbidden\r\n"

// Masks name the commands of Tokyo Tyrant. Those of the other protocols are forbidden with what they stand for.

// Masked reports whether the mask has any of these bits.
func (s *Server) Masked(bits tyrant.Mask) bool { return s.cfg.Mask&bits != 0 }

// masksText reports whether the mask forbids a command of the text protocol.
func (s *Server) masksText(r *memcache.Request) bool {
	forbids := func(c tyrant.Command) bool { return s.cfg.Mask.Forbids(c, tyrant.ViaMemcache) }
	switch r.Op {
	case memcache.OpQuit, memcache.OpMetaNoop:
		return false
	case memcache.OpError:
		return r.Drop && forbids(tyrant.Put)
	case memcache.OpGet, memcache.OpGets, memcache.OpMetaDebug:
		return forbids(tyrant.Get)
	case memcache.OpMetaGet:
		changes := r.Meta.Has('T') || r.Meta.Has('N') || r.Meta.Has('R')
		return forbids(tyrant.Get) || changes && forbids(tyrant.Put)
	case memcache.OpGat, memcache.OpGats:
		return forbids(tyrant.Get) || forbids(tyrant.Put)
	case memcache.OpAdd:
		return forbids(tyrant.PutKeep)
	case memcache.OpMetaSet:
		return forbids(tyrant.Put) || r.Meta.Mode == 'E' && forbids(tyrant.PutKeep)
	case memcache.OpSet, memcache.OpReplace, memcache.OpAppend, memcache.OpPrepend, memcache.OpCAS, memcache.OpTouch:
		return forbids(tyrant.Put)
	case memcache.OpDelete, memcache.OpMetaDelete:
		return forbids(tyrant.Out)
	case memcache.OpIncr, memcache.OpDecr, memcache.OpMetaArith:
		return forbids(tyrant.AddInt)
	case memcache.OpFlushAll:
		return forbids(tyrant.Vanish)
	case memcache.OpDump:
		return forbids(tyrant.FwmKeys)
	case memcache.OpStats, memcache.OpVersion:
		return forbids(tyrant.Stat)
	}
	return forbids(tyrant.Optimize) // what administers the server
}

// masksBinary is masksText for memcached's binary protocol.
func (s *Server) masksBinary(r *memcache.BinaryRequest) bool {
	forbids := func(c tyrant.Command) bool { return s.cfg.Mask.Forbids(c, tyrant.ViaMemcache) }
	switch r.Op {
	case memcache.OpcodeQuit, memcache.OpcodeNoop, memcache.OpcodeSASLList, memcache.OpcodeSASLAuth, memcache.OpcodeSASLStep:
		return false
	case memcache.OpcodeGet, memcache.OpcodeGetK:
		return forbids(tyrant.Get)
	case memcache.OpcodeGat, memcache.OpcodeGatK:
		return forbids(tyrant.Get) || forbids(tyrant.Put)
	case memcache.OpcodeAdd:
		return forbids(tyrant.PutKeep)
	case memcache.OpcodeSet, memcache.OpcodeReplace, memcache.OpcodeAppend, memcache.OpcodePrepend, memcache.OpcodeTouch:
		return forbids(tyrant.Put)
	case memcache.OpcodeDelete:
		return forbids(tyrant.Out)
	case memcache.OpcodeIncr, memcache.OpcodeDecr:
		return forbids(tyrant.AddInt)
	case memcache.OpcodeFlush:
		return forbids(tyrant.Vanish)
	}
	return forbids(tyrant.Stat)
}

// masksTyrant reports whether the mask forbids a command of Tokyo Tyrant's protocol.
func (s *Server) masksTyrant(r *tyrant.Request) bool {
	return s.cfg.Mask.Forbids(r.Command, tyrant.ViaTyrant) || r.Command == tyrant.Misc && s.masksMisc(string(r.Name), tyrant.ViaTyrant)
}

// httpCommands are the commands that methods stand for.
var httpCommands = map[string]tyrant.Command{
	http.MethodGet: tyrant.Get, http.MethodHead: tyrant.VSiz, http.MethodPut: tyrant.Put, http.MethodDelete: tyrant.Out, http.MethodOptions: tyrant.Stat,
}

// masksHTTP reports whether the mask forbids a method.
func (s *Server) masksHTTP(method string) bool {
	c, ok := httpCommands[method]
	return ok && s.cfg.Mask.Forbids(c, tyrant.ViaHTTP)
}

// masksMisc reports whether the mask forbids a function of misc, by itself or for what it does. The original looks at misc alone.
func (s *Server) masksMisc(name string, via tyrant.Via) bool {
	if s.cfg.Mask.Forbids(tyrant.Misc, via) {
		return true
	}
	c, ok := miscCommands[name]
	return ok && s.cfg.Mask.Forbids(c, via)
}

// miscCommands are the commands that functions of misc stand for.
var miscCommands = map[string]tyrant.Command{
	"put": tyrant.Put, "putkeep": tyrant.PutKeep, "putcat": tyrant.PutCat, "putlist": tyrant.Put, "out": tyrant.Out, "outlist": tyrant.Out,
	"get": tyrant.Get, "getpart": tyrant.Get, "getlist": tyrant.MGet, "iterinit": tyrant.IterInit, "iternext": tyrant.IterNext,
	"regex": tyrant.FwmKeys, "range": tyrant.FwmKeys, "sync": tyrant.Sync, "optimize": tyrant.Optimize, "defrag": tyrant.Optimize,
	"vanish": tyrant.Vanish, tyrant.MiscImport: tyrant.Put, tyrant.MiscExport: tyrant.FwmKeys, tyrant.MiscExportKeys: tyrant.MGet,
}

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/futago/futago/internal/reload"
)

// envPrefix begins the name of every environment variable that futago reads.
const envPrefix = "FUTAGO_"

// envAnnotation marks the flags that have an environment variable, and holds its name.
const envAnnotation = "futago-environment"

// A setting is one named value. Its name is the flag, the key of the configuration file and, in upper
// case with underscores after FUTAGO_, the environment variable.
type setting struct {
	name  string
	usage string
	value value
	// rare settings are keys of the configuration file only.
	rare bool
	// secret values are never shown.
	secret bool
	// outsideFile settings are no keys of the configuration file.
	outsideFile bool

	// given holds what the flag was given on the command line, in order.
	given []string
	// source says where the value in force came from, once it was loaded.
	source string
}

// env is the name of the setting's environment variable.
func (s *setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// set gives the setting its value from one source. A setting that is no list must get one word.
func (s *setting) set(words []string, source string) error {
	if err := s.value.set(words); err != nil {
		return err
	}
	s.source = source
	return nil
}

// flagValue makes a setting a pflag.Value. It only collects what was given: load applies it after the
// weaker sources, so that mistakes in those show too.
type flagValue struct{ *setting }

func (f flagValue) String() string {
	if f.setting == nil {
		return "" // pflag asks a zero value, too
	}
	return strings.Join(f.value.words(), " ")
}

func (f flagValue) Set(word string) error {
	if !f.value.list {
		f.given = nil // the last one counts, as with every other flag
	}
	f.given = append(f.given, word)
	return nil
}

func (f flagValue) Type() string { return f.value.kind }

// settings is the table that flags, environment, configuration file and `config show` all work from.
type settings struct {
	list []*setting
	// file is the path of the configuration file; meaningful only after withFile.
	file string
	// fileSetting is nil for a command without a configuration file.
	fileSetting *setting
	// others are the settings that may stand in the file for other commands, beside those of the table; nil: none.
	others *settings
}

// source says where the value in force of the named setting came from.
func (s *settings) source(name string) string {
	for _, st := range s.list {
		if st.name == name {
			return st.source
		}
	}
	panic("no setting " + name)
}

// add puts a setting at the end of the table. The value it holds now is the default.
func (s *settings) add(name string, v value, usage string) *setting {
	st := &setting{name: name, value: v, usage: usage, source: "default"}
	s.list = append(s.list, st)
	return st
}

// addRare adds a setting that only the configuration file can change.
func (s *settings) addRare(name string, v value, usage string) *setting {
	st := s.add(name, v, usage)
	st.rare = true
	return st
}

// withFile adds --config, the configuration file of the table.
func (s *settings) withFile() {
	s.fileSetting = s.add("config", textValue(&s.file), "read settings from this TOML `file`")
	s.fileSetting.outsideFile = true
}

// givenAs takes over what the flags of the same table were given on the command line.
func (s *settings) givenAs(other *settings) {
	for i, st := range s.list {
		st.given = other.list[i].given
	}
}

// inForce lists the settings as a process tells them. Secrets have no value.
func (s *settings) inForce() []reload.Setting {
	list := make([]reload.Setting, 0, len(s.list))
	for _, st := range s.list {
		shown := reload.Setting{Name: st.name, Values: []string{}, Source: st.source, Secret: st.secret}
		if st.secret {
			shown.Hidden = st.value.words()
		} else {
			shown.Values = append(shown.Values, st.value.words()...)
		}
		list = append(list, shown)
	}
	return list
}

// bind gives cmd a flag for every setting that has one. Help shows them in the order of the table.
func (s *settings) bind(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	for _, st := range s.list {
		if st.rare {
			continue
		}
		usage := st.usage
		if st.value.list {
			usage += "; may be repeated"
		}
		f := cmd.Flags().VarPF(flagValue{st}, st.name, "", usage)
		f.Annotations = map[string][]string{envAnnotation: {st.env()}}
		if st.value.boolean {
			f.NoOptDefVal = "true"
		}
	}
}

// load applies the configuration file, the environment and the flags, the stronger after the weaker,
// and returns every problem at once. The flags of cmd must have been parsed.
func (s *settings) load(cmd *cobra.Command) error {
	environ := environment(os.Environ())
	problems := unknownVariables(cmd.Root(), environ)
	if s.fileSetting != nil {
		if err := errors.Join(s.fileSetting.fromEnvironment(environ), s.fileSetting.fromFlag()); err != nil {
			problems = append(problems, err)
		} else if path := cmp.Or(s.file, s.usualFile()); path != "" {
			problems = append(problems, s.loadFile(path)...)
		}
	}
	for _, st := range s.list {
		if st.rare || st == s.fileSetting {
			continue
		}
		problems = append(problems, st.fromEnvironment(environ), st.fromFlag())
	}
	return errors.Join(problems...)
}

// fromEnvironment applies the setting's variable, if it is set.
func (s *setting) fromEnvironment(environ map[string]string) error {
	text, ok := environ[s.env()]
	if !ok {
		return nil
	}
	words := []string{text}
	if s.value.list {
		words = strings.Fields(text)
	}
	if err := s.set(words, s.env()); err != nil {
		return fmt.Errorf("%s: %w", s.env(), err)
	}
	return nil
}

func (s *setting) fromFlag() error {
	if s.given == nil {
		return nil
	}
	if err := s.set(s.given, "--"+s.name); err != nil {
		return fmt.Errorf("--%s: %w", s.name, err)
	}
	return nil
}

// environment returns the variables of futago that are set. An empty variable counts as not set, as
// compose files and unit files produce them for what was left out.
func environment(environ []string) map[string]string {
	vars := map[string]string{}
	for _, entry := range environ {
		if name, text, ok := strings.Cut(entry, "="); ok && text != "" && strings.HasPrefix(name, envPrefix) {
			vars[name] = text
		}
	}
	return vars
}

// unknownVariables returns an error for each variable that belongs to no command at all. One of another
// command is fine: an environment is often shared.
func unknownVariables(root *cobra.Command, environ map[string]string) []error {
	var known []string
	var collect func(*cobra.Command)
	collect = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Annotations[envAnnotation]...) })
		for _, sub := range cmd.Commands() {
			collect(sub)
		}
	}
	collect(root)
	var problems []error
	for name := range environ {
		if key := rareKey(name); key != "" {
			problems = append(problems, fmt.Errorf("environment variable %s: %s is a key of the configuration file only", name, key))
		} else if !slices.Contains(known, name) {
			problems = append(problems, fmt.Errorf("unknown environment variable %s%s", name, didYouMean("", name, known)))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}

// rareKey is the key of the configuration file that a variable would be of, if that alone can set it; "" is none.
func rareKey(variable string) string {
	for _, table := range []*settings{serveSettings(defaultServeConfig()), gatewaySettings(defaultGatewayConfig()), proxySettings(defaultProxyConfig())} {
		for _, st := range table.list {
			if st.rare && st.env() == variable {
				return st.name
			}
		}
	}
	return ""
}

// maxConfigFile bounds the configuration file in bytes.
const maxConfigFile = 1 << 20

func (s *settings) loadFile(path string) []error {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxConfigFile {
		err = fmt.Errorf("%s is %d bytes long, the limit is %d", path, info.Size(), maxConfigFile)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return []error{fmt.Errorf("read config file: %w", err)}
	}
	return s.parseFile(path, string(text))
}

func (s *settings) parseFile(path, text string) []error {
	var doc map[string]any
	meta, err := toml.Decode(text, &doc)
	if err != nil {
		return []error{fmt.Errorf("parse config file %s: %w", path, err)}
	}
	var problems []error
	for _, key := range meta.Keys() {
		if len(key) != 1 {
			continue // inside a table, whose own name is refused already
		}
		name := key[0]
		known := s.meant(name)
		if len(known) == 0 {
			problems = append(problems, fmt.Errorf("%s: unknown key %s%s", path, key, didYouMean("", name, s.fileKeys())))
			continue
		}
		words, err := known[0].value.wordsOf(doc[name])
		for _, st := range known {
			if err == nil {
				err = st.set(words, path)
			}
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %s: %w", path, name, err))
		}
	}
	return problems
}

// fileKey returns the setting of a key in the configuration file, or nil.
func (s *settings) fileKey(name string) *setting {
	for _, st := range s.list {
		if st.name == name && !st.outsideFile {
			return st
		}
	}
	return nil
}

// meant returns the settings of a key in the configuration file: that of the table, and that of others.
func (s *settings) meant(name string) (known []*setting) {
	if st := s.fileKey(name); st != nil {
		known = append(known, st)
	}
	if s.others != nil {
		known = append(known, s.others.meant(name)...)
	}
	return known
}

// fileKeys returns the known keys of the configuration file.
func (s *settings) fileKeys() []string {
	var names []string
	for _, st := range s.list {
		if !st.outsideFile {
			names = append(names, st.name)
		}
	}
	if s.others != nil {
		names = append(names, s.others.fileKeys()...)
	}
	return names
}

package main

import (
	"bufio"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Asks the test program to be a relay around a shell that runs the value.
const asRelay = "XDS_RELAY_TEST_RUN"

func TestMain(m *testing.M) {
	if script := os.Getenv(asRelay); script != "" {
		os.Exit(run("/bin/sh", []string{"-c", script}))
	}
	os.Exit(m.Run())
}

func TestSplitConfig(t *testing.T) {
	cases := []struct{ given, others, config string }{
		{"-c a.json -l warning", "-l warning", "a.json"},
		{"--restart-epoch 0 --config-path a.json", "--restart-epoch 0", "a.json"},
		{"--config-path=a.json --concurrency 2", "--concurrency 2", "a.json"},
		{"-c a.json --config-yaml {}", "--config-yaml {}", "a.json"},
		{"--version", "--version", ""},
		{"-c", "", ""},
	}
	for _, c := range cases {
		others, config := splitConfig(strings.Fields(c.given))
		if !reflect.DeepEqual(append([]string{}, others...), strings.Fields(c.others)) || config != c.config {
			t.Errorf("%q: %q, %q", c.given, others, config)
		}
	}
}

func TestEndsAsItsChildEnds(t *testing.T) {
	cases := []struct {
		script string
		signal syscall.Signal
		want   int
	}{
		{"echo up", 0, 0},
		{"echo up; exit 7", 0, 7},
		{"echo up; kill -KILL $$", 0, 137},
		{"trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done", syscall.SIGTERM, 5},
		{"trap 'exit 6' INT; echo up; while :; do sleep 0.05; done", syscall.SIGINT, 6},
	}
	for _, c := range cases {
		relay, _ := startRelay(t, c.script)
		if c.signal != 0 {
			if err := relay.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
		}
		_ = relay.Wait()
		if got := relay.ProcessState.ExitCode(); got != c.want {
			t.Errorf("%s: exit status %d, want %d", c.script, got, c.want)
		}
	}
}

func TestAKilledRelayTakesItsChildAlong(t *testing.T) {
	relay, line := startRelay(t, "echo $$; exec sleep 60")
	child, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := relay.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = relay.Wait()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if !isRunning(child) {
			return
		}
	}
	t.Error("the child lives on")
	_ = syscall.Kill(child, syscall.SIGKILL)
}

// Neither gone nor a zombie that nobody has waited for yet.
func isRunning(process int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(process) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// Starts a relay around a script, and gives the script's first line.
func startRelay(t *testing.T, script string) (*exec.Cmd, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	relay := exec.Command(self)
	relay.Env = append(os.Environ(), asRelay+"="+script)
	output, err := relay.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := relay.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return relay, strings.TrimSpace(line)
}

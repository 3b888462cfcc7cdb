// Stands where pilot-agent expects Envoy, and runs a stock Envoy that can live with what istiod sends.
//
// Istio's own build of Envoy has a few filters that no stock Envoy has; one unknown filter makes Envoy refuse
// the whole listener. The program takes those out of the bootstrap file and of the listeners on their way
// from pilot-agent, changes nothing else, and says once for each thing what it took out. docs/testing.md
// lists them, with what that means for what tests can claim.
//
// It lies at /usr/local/bin/envoy, with the real one beside it as envoy-stock, takes Envoy's own arguments and
// needs no settings. Given `-c FILE.json` it
//
//   - writes FILE-stock.json, in which the path of pilot-agent's xDS socket has `-relay` added;
//   - listens on that path, opens one stream to pilot-agent for each of Envoy's, and passes bytes on unread,
//     but for the delta answers of listeners (edit.go); refusals pass too, so istiod logs what Envoy refused;
//   - runs Envoy with that file, passes signals on to it, and ends with its status.
//
// Without `-c`, as for `--version`, it becomes the stock Envoy at once. When it is killed, so is its Envoy.
package main

import (
	"errors"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// What shells add to the number of a signal that ended a program.
const signalStatus = 128

// The stock Envoy lies beside this program.
const stockName = "envoy-stock"

func main() {
	// The kernel ends the child when the thread that started it ends.
	runtime.LockOSThread()
	log.SetFlags(log.LstdFlags | log.LUTC)
	log.SetPrefix("xds-relay: ")
	self, err := os.Executable()
	if err != nil {
		log.Fatalf("own path: %v", err)
	}
	stock := filepath.Join(filepath.Dir(self), stockName)
	arguments, config := splitConfig(os.Args[1:])
	if config == "" {
		// `--version` and the like: no configuration, nothing to change.
		err := syscall.Exec(stock, append([]string{stock}, os.Args[1:]...), os.Environ())
		log.Fatalf("%s: %v", stock, err)
	}
	changed, sockets, err := prepareBootstrap(config)
	if err != nil {
		log.Fatalf("bootstrap %s: %v", config, err)
	}
	if err := serve(sockets); err != nil {
		log.Fatalf("relay: %v", err)
	}
	os.Exit(run(stock, append(arguments, "-c", changed)))
}

// Separates the path of the configuration from the other arguments.
func splitConfig(arguments []string) (others []string, config string) {
	for i := 0; i < len(arguments); i++ {
		name, value, joined := strings.Cut(arguments[i], "=")
		switch {
		case name != "-c" && name != "--config-path":
			others = append(others, arguments[i])
		case joined:
			config = value
		case i+1 < len(arguments):
			i++
			config = arguments[i]
		}
	}
	return others, config
}

// Runs Envoy to its end, passes signals on, and gives its exit status.
func run(program string, arguments []string) int {
	command := exec.Command(program, arguments...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	// Whatever becomes of the relay, Envoy must not go on without it.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	if err := command.Start(); err != nil {
		log.Printf("%s: %v", program, err)
		return 1
	}
	go func() {
		for received := range signals {
			_ = command.Process.Signal(received)
		}
	}()
	err := command.Wait()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended) && ended.ExitCode() >= 0:
		return ended.ExitCode()
	case errors.As(err, &ended):
		log.Printf("Envoy: %v", err)
		status, _ := ended.Sys().(syscall.WaitStatus)
		return signalStatus + int(status.Signal())
	default:
		log.Printf("Envoy: %v", err)
		return 1
	}
}

#include "cli/diagnosis.h"

#include <algorithm>
#include <array>
#include <csignal>

#include "base/strings.h"
#include "cli/text.h"
#include "compose/conditions.h"

namespace gantry::cli {

namespace {

using compose::Project;

constexpr int kManyRestarts = 2;  // the first may have been an accident

bool has(std::string_view text, std::string_view part) { return to_lower(text).find(part) != std::string::npos; }

std::string last_line(const ContainerStory& container) {
  for (auto line = container.log.rbegin(); line != container.log.rend(); ++line) {
    const std::string_view text = trim(*line);
    if (!text.empty()) return std::string(text);
  }
  return "";
}

using SignWords = std::array<std::string_view, 7>;  // "": none

// The last line that holds one of the words; "" if none does.
std::string line_with(const ContainerStory& container, const SignWords& words) {
  for (auto line = container.log.rbegin(); line != container.log.rend(); ++line) {
    for (const std::string_view word : words) {
      if (!word.empty() && has(*line, word)) return std::string(trim(*line));
    }
  }
  return "";
}

// What programs say on their way out, and what it means.
struct Complaint {
  SignWords words;
  std::string_view meaning;
  std::string_view attribute;
};

constexpr std::array<Complaint, 15> kComplaints = {{
    {{"error while loading shared libraries", "error loading shared library", "cannot open shared object file"},
     "a library that the program needs is not in the image", "image"},
    {{"exec format error"}, "the program is for another processor, or a script without a #! line", "image"},
    {{"address already in use", "eaddrinuse"}, "another process in the container has the port already", "command"},
    {{"no space left on device", "enospc"}, "a filesystem is full", "volumes"},
    {{"read-only file system", "erofs"}, "it writes where the filesystem is read-only", "read_only"},
    {{"could not resolve", "name or service not known", "bad address", "temporary failure in name resolution",
      "no such host", "getaddrinfo", "name resolution"},
     "it looks for a host that has no such name in its networks", "networks"},
    {{"connection refused", "econnrefused"}, "what it connects to does not listen (yet): a depends_on with condition "
                                             "service_healthy would wait for it", "depends_on"},
    {{"operation not permitted", "eperm"}, "it does what its capabilities do not allow", "cap_add"},
    {{"permission denied", "eacces"}, "its user may not open a file", "user"},
    {{"no module named", "cannot find module", "modulenotfounderror", "classnotfoundexception", "could not find or load"},
     "a part of the program is missing in the image", "image"},
    {{"not found", "no such file or directory"}, "a file or program is missing in the image", "image"},
    {{"out of memory", "cannot allocate memory", "heap out of memory", "outofmemoryerror"},
     "the program got no more memory", "mem_limit"},
    {{"too many open files", "emfile"}, "it has more files open than its limit allows", "ulimits"},
    {{"password authentication failed", "access denied for user", "authentication failed"},
     "its credentials are refused", "environment"},
    {{"syntax error", "parse error", "invalid configuration", "unknown directive"}, "its configuration is wrong",
     "volumes"},
}};

class Doctor {
 public:
  explicit Doctor(const Facts& facts) : facts_(facts) {}

  Diagnosis examine() {
    if (facts_.containers.empty()) {
      without_container();
    } else {
      examine_worst();
    }
    return std::move(result_);
  }

 private:
  const std::string& service() const { return facts_.service; }
  void say(std::string headline) { result_.headline = service() + " " + std::move(headline); }
  void because(std::string text) {
    if (!text.empty()) result_.explanation.push_back(std::move(text));
  }
  void at(std::string_view attribute) { result_.attribute = "services." + service() + "." + std::string(attribute); }

  const compose::Service* definition() const {
    if (!facts_.project) return nullptr;
    const auto found = facts_.project->services.find(service());
    return found == facts_.project->services.end() ? nullptr : &found->second;
  }

  // ---- no container at all

  void without_container() {
    if (facts_.project) {
      const auto& disabled = facts_.project->disabled_services;
      if (std::find(disabled.begin(), disabled.end(), service()) != disabled.end()) {
        say("is not active: its profiles are not enabled");
        because("enable one of them by --profile or COMPOSE_PROFILES, or name the service: compose up " + service());
        return at("profiles");
      }
      if (const auto* own = definition(); own != nullptr && own->scale == 0) {
        say("has no container: it is scaled to 0");
        return at("scale");
      }
    }
    // An `up` that finds a port taken makes nothing.
    if (!facts_.holders.empty()) return port_taken(facts_.holders.front());
    say("has no container: it was never created, or was removed");
    if (explain_dependencies()) return;
    because("compose up " + service() + " creates it; compose plan " + service() + " says what that would do");
  }

  void port_taken(const PortHolder& holder) {
    say("is not running: port " + std::to_string(holder.port) + " of the host is taken");
    because("by " + holder.who);
    at(port_attribute(holder.port));
  }

  // ---- containers: the one that is worst off speaks for the service

  static int badness(const ContainerStory& container) {
    if (container.state == "restarting") return 5;
    if (!container.error.empty() && container.state != "running") return 5;
    if (container.state == "exited" || container.state == "dead") return container.exit_code == 0 ? 2 : 4;
    if (container.state == "running" && container.health == "unhealthy") return 4;
    if (container.state == "created" || container.state == "paused" || container.state == "removing") return 3;
    if (container.health == "starting") return 1;
    return 0;
  }

  void examine_worst() {
    const auto worst = std::max_element(facts_.containers.begin(), facts_.containers.end(),
                                        [](const auto& a, const auto& b) { return badness(a) < badness(b); });
    examine(*worst);
    if (facts_.containers.size() > 1) because("(container " + worst->name + ", one of " + std::to_string(facts_.containers.size()) + ")");
    if (!worst->cause.empty()) because("its container was made anew because " + worst->cause);
  }

  void examine(const ContainerStory& container) {
    if (container.state == "running") return running(container);
    if (container.state == "paused") {
      say("is paused: somebody froze it");
      return because("compose unpause " + service() + " lets it go on");
    }
    if (!container.error.empty()) return start_failed(container);
    if (container.state == "restarting") return restarting(container);
    if (container.state == "created") return never_started();
    if (container.state == "removing") return say("is being removed");
    ended(container);
  }

  void running(const ContainerStory& container) {
    // Caught between two ends of a program that always ends at once.
    if (container.restart_count >= kManyRestarts && container.just_started) return restarting(container);
    if (container.health == "unhealthy") return unhealthy(container);
    if (container.health == "starting") {
      say("is running, and its health is not known yet");
      return explain_probe(container);
    }
    result_.well = true;
    say(container.health == "healthy" ? "is running and healthy" : "is running; it has no health check");
    if (container.restart_count > 0) {
      because("it was restarted " + times(container.restart_count) + "; its last end: " + end_of(container));
      explain_log(container);
    }
  }

  static std::string times(int count) { return count == 1 ? "once" : std::to_string(count) + " times"; }

  void unhealthy(const ContainerStory& container) {
    say("is running, but unhealthy");
    explain_probe(container);
  }

  void explain_probe(const ContainerStory& container) {
    at("healthcheck");
    if (container.probes.empty()) return because("no probe has ended yet");
    const ProbeRun& probe = container.probes.back();
    const std::string output(trim(probe.output));
    if (probe.exit_code == 126 || probe.exit_code == 127 || has(output, "executable file not found")) {
      because("the probe's program is not in the image: " + output);
    } else if (has(output, "exceeded timeout")) {
      because("the probe takes longer than its timeout: " + output);
    } else if (probe.exit_code != 0) {
      because("its last probe exited with code " + std::to_string(probe.exit_code) + (output.empty() ? "" : ": " + output));
    }
  }

  void restarting(const ContainerStory& container) {
    say("is restarting again and again: " + end_of(container));
    because("tried " + times(container.restart_count) + " under restart policy " + container.restart_policy);
    explain_end(container);
  }

  void ended(const ContainerStory& container) {
    if (container.exit_code == 0 && !container.oom_killed) {
      result_.well = true;
      return say(container.stopped ? "is stopped: it was asked to, and exited with code 0"
                                   : "has ended: exited with code 0");
    }
    say("is not running: " + end_of(container));
    explain_end(container);
  }

  static std::string end_of(const ContainerStory& container) {
    if (container.oom_killed) return "killed for using too much memory (exit code " + std::to_string(container.exit_code) + ")";
    if (container.state == "dead") return "its supervisor was killed";
    const std::string meaning = explain_exit_code(container.exit_code);
    std::string text = "exited with code " + std::to_string(container.exit_code);
    if (!meaning.empty()) text += ", " + meaning;
    return text;
  }

  void explain_end(const ContainerStory& container) {
    if (container.oom_killed) {
      const std::string limit = container.memory_limit > 0 ? human_size(static_cast<uint64_t>(container.memory_limit)) : "";
      because(limit.empty() ? "the machine ran out of memory" : "its limit is " + limit + ": raise it, or let the program use less");
      return at("mem_limit");
    }
    if (container.stopped) {
      if (container.exit_code == 137) because("it was stopped, and did not end within its grace period");
      else because("it was stopped on request");
      return;
    }
    if (container.exit_code == 137) because("somebody sent SIGKILL: compose kill, or a process of the host");
    explain_log(container);
  }

  void explain_log(const ContainerStory& container) {
    for (const Complaint& complaint : kComplaints) {
      const std::string line = line_with(container, complaint.words);
      if (line.empty()) continue;
      because(std::string(complaint.meaning) + ": " + line);
      return at(complaint.attribute);
    }
    const std::string line = last_line(container);
    because(line.empty() ? "it wrote nothing" : "its last words: " + line);
  }

  void never_started() {
    say("was created, but never started");
    if (!explain_dependencies()) because("compose start " + service() + " starts it");
  }

  // ---- the engine could not start it

  void start_failed(const ContainerStory& container) {
    const std::string& error = container.error;
    if (const uint16_t port = port_in_error(error); port != 0) {
      const auto holder = std::find_if(facts_.holders.begin(), facts_.holders.end(),
                                       [port](const PortHolder& h) { return h.port == port; });
      if (holder != facts_.holders.end()) return port_taken(*holder);
      say("is not running: port " + std::to_string(port) + " of the host is taken");
      because(error);
      return at(port_attribute(port));
    }
    say("is not running: it could not be started");
    struct Known {
      std::initializer_list<std::string_view> words;
      std::string_view meaning;
      std::string_view attribute;
    };
    static const std::array<Known, 11> kKnown = {{
        {{"executable file not found"}, "there is no such program in the image", "command"},
        {{"exec format error"}, "the program is for another processor, or a script without a #! line", "image"},
        {{"bind mount", "bind source", "mount source"}, "something it mounts cannot be mounted", "volumes"},
        {{"not a directory", "is a directory"}, "a file is mounted on a directory, or a directory on a file", "volumes"},
        {{"unable to find user", "no matching entries in passwd"}, "the image has no such user", "user"},
        {{"unable to find group"}, "the image has no such group", "user"},
        {{"working directory", "chdir to cwd"}, "its working directory is not there", "working_dir"},
        {{"permission denied"}, "the program is not executable, or its user may not run it", "command"},
        {{"no such image", "image not known"}, "its image is not here any more", "image"},
        {{"network"}, "a network of it is gone: compose up makes it anew", "networks"},
        {{"no such file or directory"}, "the program, or the interpreter after #! in it, is not in the image", "command"},
    }};
    for (const Known& known : kKnown) {
      const bool matches = std::any_of(known.words.begin(), known.words.end(),
                                       [&](std::string_view word) { return has(error, word); });
      if (!matches) continue;
      because(std::string(known.meaning) + ": " + error);
      return at(attribute_in_file(known.attribute));
    }
    because(error);
  }

  std::string attribute_in_file(std::string_view attribute) const {
    const auto* own = definition();
    if (attribute != "command" || own == nullptr) return std::string(attribute);
    if (own->entrypoint && !own->entrypoint->empty()) return "entrypoint";
    return own->command && !own->command->empty() ? "command" : "image";
  }

  std::string port_attribute(uint16_t port) const {
    if (const auto* own = definition(); own != nullptr) {
      for (size_t i = 0; i < own->ports.size(); ++i) {
        if (own->ports[i].published == std::to_string(port)) return "ports[" + std::to_string(i) + "]";
      }
    }
    return "ports";
  }

  // ---- what it waits for

  bool explain_dependencies() {
    const auto* own = definition();
    if (own == nullptr) return false;
    for (const auto& [name, dependency] : own->depends_on) {
      const std::string problem = problem_of(name, dependency);
      if (problem.empty()) continue;
      because("it waits for " + name + " (" + compose::to_string(dependency.condition) + "): " + problem);
      at("depends_on." + name);
      return true;
    }
    return false;
  }

  std::string problem_of(const std::string& name, const compose::Dependency& dependency) const {
    const auto found = std::find_if(facts_.others.begin(), facts_.others.end(),
                                    [&](const ContainerStory& other) { return other.service == name; });
    if (found == facts_.others.end()) return name + " has no container";
    const ContainerStory& other = *found;
    if (!other.error.empty() && other.state != "running") return "it could not be started: " + other.error;
    const bool ended = other.state == "exited" || other.state == "dead";
    switch (dependency.condition) {
      case compose::DependencyCondition::started:
        return other.state == "created" ? "it was never started" : "";
      case compose::DependencyCondition::healthy:
        if (ended) return "it " + end_of(other);
        if (other.state == "created") return "it was never started";
        if (other.health.empty()) return "it has no health check";
        return other.health == "healthy" ? "" : "it is " + other.health;
      case compose::DependencyCondition::completed_successfully:
        if (!ended) return "it has not ended yet";
        return other.exit_code == 0 ? "" : "it " + end_of(other);
    }
    return "";
  }

  const Facts& facts_;
  Diagnosis result_;
};

}  // namespace

Diagnosis diagnose(const Facts& facts) { return Doctor(facts).examine(); }

std::string explain_exit_code(int code) {
  switch (code) {
    case 2: return "often wrong arguments";
    case 125: return "the container could not be made";
    case 126: return "the command is not executable";
    case 127: return "the command was not found";
    case 128 + SIGHUP: return "ended by SIGHUP";
    case 128 + SIGINT: return "ended by SIGINT (Ctrl-C)";
    case 128 + SIGQUIT: return "ended by SIGQUIT";
    case 128 + SIGILL: return "killed by SIGILL: it has instructions that this processor does not know";
    case 128 + SIGTRAP: return "killed by SIGTRAP";
    case 128 + SIGABRT: return "killed by SIGABRT: it gave up by itself (an assertion, or memory found damaged)";
    case 128 + SIGBUS: return "killed by SIGBUS: a file that it has in memory became shorter, or /dev/shm is too small";
    case 128 + SIGFPE: return "killed by SIGFPE: it divided by zero";
    case 128 + SIGKILL: return "killed by SIGKILL";
    case 128 + SIGSEGV: return "killed by SIGSEGV: it touched memory that is not its own";
    case 128 + SIGPIPE: return "killed by SIGPIPE: nobody read what it wrote";
    case 128 + SIGTERM: return "ended by SIGTERM";
    case 128 + SIGSYS: return "killed by SIGSYS: a system call that is not allowed";
    default: return "";
  }
}

uint16_t port_in_error(std::string_view error) {
  if (!has(error, "address already in use") && !has(error, "port is already allocated") && !has(error, "already taken") &&
      !has(error, "in use")) {
    return 0;
  }
  // The last number that follows a colon and may be a port: "0.0.0.0:8080", "[::]:8080".
  uint16_t port = 0;
  for (size_t at = error.find(':'); at != std::string_view::npos; at = error.find(':', at + 1)) {
    size_t end = at + 1;
    while (end < error.size() && error[end] >= '0' && error[end] <= '9') ++end;
    const auto number = parse_unsigned(error.substr(at + 1, end - at - 1));
    if (number && *number > 0 && *number <= 65535) port = static_cast<uint16_t>(*number);
  }
  if (port != 0) return port;
  const size_t word = to_lower(error).find("port ");
  if (word == std::string::npos) return 0;
  size_t end = word + 5;
  while (end < error.size() && error[end] >= '0' && error[end] <= '9') ++end;
  const auto number = parse_unsigned(error.substr(word + 5, end - word - 5));
  return number && *number <= 65535 ? static_cast<uint16_t>(*number) : 0;
}

}  // namespace gantry::cli

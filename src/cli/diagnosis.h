// Why a service is in the state that it is in: from what the engine tells about its containers and what the file says,
// in words. Pure; any thread. The first line says what is the matter, the second why, the third where to look.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compose/project.h"

namespace gantry::cli {

struct ProbeRun {
  int exit_code = 0;
  std::string output;
};

// One container, as GET /containers/ID/json and its log tell.
struct ContainerStory {
  std::string id;
  std::string name;
  std::string service;
  std::string state;  // "running", "exited", …
  int exit_code = 0;   // of its last end; one that runs may have had one before it was started again
  std::string error;  // why its last start failed
  bool oom_killed = false;
  int restart_count = 0;
  std::string restart_policy;
  std::string health;  // "", "starting", "healthy", "unhealthy"
  std::vector<ProbeRun> probes;
  int64_t memory_limit = 0;
  std::string started_at, finished_at;  // RFC 3339
  std::string cause;                    // why it was made anew; "" if it was not
  bool stopped = false;                 // its end was asked for
  bool just_started = false;            // runs too short to say that the last restart has helped
  std::vector<std::string> log;         // the last lines
};

// Who has a port of the host.
struct PortHolder {
  uint16_t port = 0;
  std::string who;  // "container shop-web-1 of project shop", "process 4711 (nginx)"
};

struct Facts {
  std::string service;
  std::optional<compose::Project> project;  // where the files can be read
  std::vector<ContainerStory> containers;   // of the service, by number
  std::vector<ContainerStory> others;       // of the project's other services
  std::vector<PortHolder> holders;  // of ports that kept a container from starting or, without one, from being made
};

struct Diagnosis {
  bool well = false;          // nothing is the matter
  std::string headline;       // "web is not running: exited with code 127"
  std::vector<std::string> explanation;
  std::string attribute;      // "services.web.command": where the file says so; may be empty
};

Diagnosis diagnose(const Facts& facts);

// "killed by SIGSEGV: it touched memory that is not its own"; "" for codes that mean nothing in particular.
std::string explain_exit_code(int code);

// The port that an engine's error is about: "bind: address already in use" with ":8080"; 0: none.
uint16_t port_in_error(std::string_view error);

}  // namespace gantry::cli

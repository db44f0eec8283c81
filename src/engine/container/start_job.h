// The blocking part of a container's start: files, sandbox, network, names, program. Values in, values out; it runs on
// a worker thread and touches nothing that the loop owns. A failure leaves nothing behind.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/container/runtime.h"
#include "engine/context.h"
#include "engine/image/image_store.h"
#include "engine/volume/volume_store.h"
#include "net/network.h"

namespace gantry::engine {

// A file that is written into the container's directory before the start. Written in place, because the sandbox
// may have the old one's inode mounted.
struct StartFile {
  std::filesystem::path path;
  std::string content;
  uint32_t mode = 0644;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

struct StartEndpoint {
  net::EndpointConfig config;
  std::string key;                        // of its names
  std::optional<net::NameRecord> record;  // none on networks without names
};

struct StartJob {
  SandboxSpec sandbox;
  std::vector<StartFile> files;
  std::vector<std::filesystem::path> directories_to_make;  // bind sources that may be missing
  std::vector<VolumeMount> volumes_to_mount;  // stay mounted after a failure: others may use them, the loop counts
  std::vector<StartEndpoint> endpoints;
  std::vector<net::PortRequest> ports;
  net::PortOwner port_owner;
  bool own_network = false;              // has a namespace of its own, perhaps without endpoints
  std::optional<net::NameService::Client> dns;
  std::vector<Fd> attached;              // connections that get the output from its first byte on
  bool close_stdin_at_end = false;       // when such a client closes its side
};

struct StartProblem {
  StartFailure failure;
  Code code = Code::internal;
};

struct StartResult {
  std::optional<StartProblem> problem;
  std::unique_ptr<PreparedSandbox> sandbox;  // running
  std::unique_ptr<net::PortReservation> ports;
  std::vector<std::string> warnings;
};

struct StartTools {
  Runtime& runtime;
  net::NetworkStack& stack;
  LazyNames& names;
};

StartResult run_start_job(StartTools tools, StartJob job);

// The reverse for a container that has ended: names, interfaces and rules, then the port sockets, so that whoever
// hears of the end finds the ports free.
struct EndJob {
  std::string dns_client;  // empty: it was none
  std::vector<StartEndpoint> endpoints;
  std::vector<VolumeMount> volumes_to_unmount;
};
void run_end_job(StartTools tools, EndJob job, std::unique_ptr<net::PortReservation> ports);

// Endpoints of a running container that come, go or change their part: default route, published ports.
struct NetworkChange {
  std::optional<StartEndpoint> leaving;
  std::vector<StartEndpoint> changed;   // with the new ones
  std::vector<StartEndpoint> before;    // the changed ones as they were; the new ones are not among them
  NetnsSockets sockets;
  net::NameService::Client dns;
  bool new_dns_client = false;
  std::vector<net::PortRequest> ports;  // wanted; none: nothing gets in any more
  net::PortOwner port_owner;
};
struct NetworkChanged {
  Result<> done;  // failed: everything is as it was, as far as possible
  std::unique_ptr<net::PortReservation> ports;
};
NetworkChanged run_network_change(StartTools tools, NetworkChange change, std::unique_ptr<net::PortReservation> ports);

// Ports that a process carries: those of the reservation, told to the process. None: nothing to do.
Result<> carry_ports(net::NameService& service, const net::PortReservation* ports);
Result<> stop_carrying_ports(LazyNames& names, const net::PortReservation* ports);

// What binding 127.0.0.11 chose; 0 on failure.
uint16_t local_port(int socket);

}  // namespace gantry::engine

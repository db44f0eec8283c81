// The daemon's end of the line to gantry-dns.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "base/fd.h"
#include "net/dns_protocol.h"
#include "net/network.h"

namespace gantry::net {

// Any thread. Keeps what it told, so that a service that died is started again and told everything, at once (a thread
// waits for its end) and without the callers noticing.
class DnsClient final : public NameService {
 public:
  explicit DnsClient(Options options) : options_(std::move(options)) {}
  ~DnsClient() override;

  Result<> connect() override;
  Result<> synchronised() override;
  Result<> add_client(const Client& client, Fd udp, Fd tcp, Fd netns) override;
  Result<> update_client(const Client& client) override;
  Result<> remove_client(const std::string& id) override;
  Result<> publish(const std::string& endpoint_key, const NameRecord& record) override;
  Result<> withdraw(const std::string& endpoint_key) override;
  Result<> carry(const UserForward& forward, int socket) override;
  Result<> stop_carrying(const std::vector<UserForward>& forwards) override;
  void disconnect() override;

 private:
  struct Told {
    Client client;
    Fd udp;
    Fd tcp;
    Fd netns;  // may be invalid
  };
  struct Carried {
    UserForward forward;
    Fd socket;  // invalid: only the process has it
  };

  // All of these with mutex_ held.
  Result<> open_connection();
  Result<Fd> reach_or_start(int run_directory);
  Result<> start_process();
  Result<uint32_t> ask_version(int socket, DnsCommand command);
  Result<> send_one(const DnsRequest& request, const std::vector<int>& descriptors = {});
  Result<> tell(const DnsRequest& request, const std::vector<int>& descriptors = {});
  static std::vector<int> descriptors_of(const Told& told);
  static std::vector<int> descriptors_of(const Carried& carried);
  Result<> tell_everything();
  Result<> recover();

  void watch();
  void stop_watching();

  const Options options_;
  std::mutex mutex_;
  bool connected_ = false;  // connect() was called and disconnect() was not
  bool synchronising_ = false;
  Fd socket_;
  Fd wake_watcher_;  // eventfd
  std::thread watcher_;
  std::map<std::string, Told> clients_;
  std::map<std::string, NameRecord> records_;
  std::map<std::string, Carried> carried_;
  int deaths_ = 0;  // of the service, since the last connect()
};

}  // namespace gantry::net

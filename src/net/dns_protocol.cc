#include "net/dns_protocol.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

namespace gantry::net {
namespace {

// Numbers in the machine's order: both ends are on one machine. Texts and lists with a count in front.
class Writer {
 public:
  std::string out;

  void number(uint32_t value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); }
  void text(const std::string& value) {
    number(static_cast<uint32_t>(value.size()));
    out += value;
  }
  void texts(const std::vector<std::string>& values) {
    number(static_cast<uint32_t>(values.size()));
    for (const std::string& value : values) text(value);
  }
  void address(const IpAddress& value) { text({reinterpret_cast<const char*>(value.bytes()), value.size()}); }
  void addresses(const std::vector<IpAddress>& values) {
    number(static_cast<uint32_t>(values.size()));
    for (const IpAddress& value : values) address(value);
  }
  void pairs(const std::map<std::string, std::string>& values) {
    number(static_cast<uint32_t>(values.size()));
    for (const auto& [key, value] : values) {
      text(key);
      text(value);
    }
  }
  void forwards(const std::vector<UserForward>& values) {
    number(static_cast<uint32_t>(values.size()));
    for (const UserForward& value : values) {
      number(value.protocol);
      address(value.host);
      number(value.host_port);
      address(value.target);
      number(value.target_port);
    }
  }
};

class FieldReader {
 public:
  explicit FieldReader(std::string_view rest) : rest_(rest) {}
  bool complete() const { return good_ && rest_.empty(); }

  uint32_t number() {
    uint32_t value = 0;
    if (rest_.size() < sizeof value) return fail();
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  std::string text() {
    size_t size = number();
    if (size > rest_.size()) size = fail();
    std::string value(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return value;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> values;
    for (uint32_t count = number(); count > 0 && good_; --count) values.push_back(text());
    return values;
  }
  IpAddress address() {
    std::string bytes = text();
    std::array<uint8_t, 16> all{};
    if (bytes.size() != 4 && bytes.size() != 16) fail();
    std::memcpy(all.data(), bytes.data(), std::min(bytes.size(), all.size()));
    auto v4 = uint32_t{all[0]} << 24 | uint32_t{all[1]} << 16 | uint32_t{all[2]} << 8 | all[3];
    return bytes.size() == 16 ? IpAddress::v6(all) : IpAddress::v4(v4);
  }
  std::vector<IpAddress> addresses() {
    std::vector<IpAddress> values;
    for (uint32_t count = number(); count > 0 && good_; --count) values.push_back(address());
    return values;
  }
  std::map<std::string, std::string> pairs() {
    std::map<std::string, std::string> values;
    for (uint32_t count = number(); count > 0 && good_; --count) {
      std::string key = text();
      values[std::move(key)] = text();
    }
    return values;
  }
  std::vector<UserForward> forwards() {
    std::vector<UserForward> values;
    for (uint32_t count = number(); count > 0 && good_; --count) {
      UserForward value;
      value.protocol = static_cast<uint8_t>(number());
      value.host = address();
      value.host_port = static_cast<uint16_t>(number());
      value.target = address();
      value.target_port = static_cast<uint16_t>(number());
      values.push_back(value);
    }
    return values;
  }

 private:
  uint32_t fail() {
    good_ = false;
    rest_ = {};
    return 0;
  }
  std::string_view rest_;
  bool good_ = true;
};

constexpr uint32_t kInternalOnly = 1;
constexpr uint32_t kOwnUpstreams = 2;
constexpr uint32_t kSetsNdots = 4;

void set_flags(NameService::Client& client, uint32_t flags) {
  client.internal_only = (flags & kInternalOnly) != 0;
  client.own_upstreams = (flags & kOwnUpstreams) != 0;
  client.sets_ndots = (flags & kSetsNdots) != 0;
}

}  // namespace

std::string encode_dns_request(const DnsRequest& request) {
  Writer writer;
  writer.out += static_cast<char>(request.command);
  switch (request.command) {
    case DnsCommand::hello:
    case DnsCommand::quit:
    case DnsCommand::synchronised:
      break;
    case DnsCommand::add_client:
    case DnsCommand::update_client:
      writer.text(request.client.id);
      writer.texts(request.client.networks);
      writer.addresses(request.client.upstreams);
      writer.number((request.client.internal_only ? kInternalOnly : 0) |
                    (request.client.own_upstreams ? kOwnUpstreams : 0) |
                    (request.client.sets_ndots ? kSetsNdots : 0));
      writer.pairs(request.client.links);
      break;
    case DnsCommand::remove_client:
      writer.text(request.client.id);
      break;
    case DnsCommand::publish:
      writer.text(request.key);
      writer.text(request.record.network_id);
      writer.text(request.record.network_name);
      writer.texts(request.record.names);
      writer.addresses(request.record.addresses);
      break;
    case DnsCommand::withdraw:
      writer.text(request.key);
      break;
    case DnsCommand::carry:
    case DnsCommand::stop_carrying:
      writer.forwards(request.forwards);
      break;
  }
  return writer.out;
}

Result<DnsRequest> decode_dns_request(std::string_view message) {
  if (message.empty()) return invalid("empty message to the name service");
  DnsRequest request{.command = static_cast<DnsCommand>(message[0])};
  FieldReader reader(message.substr(1));
  switch (request.command) {
    case DnsCommand::hello:
    case DnsCommand::quit:
    case DnsCommand::synchronised:
      break;
    case DnsCommand::add_client:
    case DnsCommand::update_client:
      request.client.id = reader.text();
      request.client.networks = reader.texts();
      request.client.upstreams = reader.addresses();
      set_flags(request.client, reader.number());
      request.client.links = reader.pairs();
      break;
    case DnsCommand::remove_client:
      request.client.id = reader.text();
      break;
    case DnsCommand::publish:
      request.key = reader.text();
      request.record.network_id = reader.text();
      request.record.network_name = reader.text();
      request.record.names = reader.texts();
      request.record.addresses = reader.addresses();
      break;
    case DnsCommand::withdraw:
      request.key = reader.text();
      break;
    case DnsCommand::carry:
    case DnsCommand::stop_carrying:
      request.forwards = reader.forwards();
      if (request.command == DnsCommand::carry && request.forwards.size() != 1) {
        return invalid("broken message to the name service");
      }
      break;
    default:
      return invalid("unknown command " + std::to_string(message[0]) + " to the name service");
  }
  if (!reader.complete()) return invalid("broken message to the name service");
  return request;
}

sockaddr_un dns_socket_address(int run_directory) {
  sockaddr_un address{.sun_family = AF_UNIX};
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", run_directory, kDnsSocketName);
  return address;
}

}  // namespace gantry::net

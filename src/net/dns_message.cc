#include "net/dns_message.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/strings.h"

namespace gantry::net {
namespace {

constexpr size_t kHeaderSize = 12;
constexpr size_t kMaxName = 255;  // RFC 1035, 2.3.4: on the wire, lengths included
constexpr size_t kMaxLabel = 63;
constexpr int kMaxPointers = 16;  // a name needs one; loops end here
constexpr uint16_t kClassInternet = 1;
constexpr uint16_t kClassAny = 255;
constexpr size_t kSmallestUdp = 512;
constexpr uint16_t kOurUdpSize = 4096;

// Bits of the two flag bytes.
constexpr uint8_t kResponse = 0x80;
constexpr uint8_t kOpcode = 0x78;
constexpr uint8_t kRecursionDesired = 0x01;
constexpr uint8_t kRecursionAvailable = 0x80;

// Reads forward; every read says whether there was enough.
class PacketReader {
 public:
  explicit PacketReader(DnsBytes packet, size_t at = 0) : packet_(packet), at_(at) {}
  size_t position() const { return at_; }

  bool number16(uint16_t& value) {
    if (packet_.size() - at_ < 2) return false;
    value = static_cast<uint16_t>(packet_[at_] << 8 | packet_[at_ + 1]);
    at_ += 2;
    return true;
  }
  bool skip(size_t count) {
    if (packet_.size() - at_ < count) return false;
    at_ += count;
    return true;
  }
  bool name(std::string& text);

 private:
  DnsBytes packet_;
  size_t at_;
};

void append_label(std::string& text, DnsBytes label) {
  if (!text.empty()) text += '.';
  for (uint8_t byte : label) {
    char c = static_cast<char>(byte);
    if (c == '.' || c == '\\') text += '\\';
    text += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
}

bool PacketReader::name(std::string& text) {
  text.clear();
  size_t at = at_;
  size_t total = 1;
  int pointers = 0;
  for (;;) {
    if (at >= packet_.size()) return false;
    uint8_t length = packet_[at];
    if ((length & 0xc0) == 0xc0) {
      // A pointer goes back in the packet; the name ends behind the first one.
      if (at + 1 >= packet_.size() || ++pointers > kMaxPointers) return false;
      size_t target = static_cast<size_t>(length & 0x3f) << 8 | packet_[at + 1];
      if (pointers == 1) at_ = at + 2;
      if (target >= at) return false;
      at = target;
      continue;
    }
    if (length > kMaxLabel) return false;  // 0x40 and 0x80 are no label types any more
    if (length == 0) break;
    total += length + 1u;
    if (total > kMaxName || packet_.size() - at - 1 < length) return false;
    append_label(text, packet_.subspan(at + 1, length));
    at += 1u + length;
  }
  if (pointers == 0) at_ = at + 1;
  return true;
}

void append16(std::vector<uint8_t>& out, uint16_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}

void append32(std::vector<uint8_t>& out, uint32_t value) {
  append16(out, static_cast<uint16_t>(value >> 16));
  append16(out, static_cast<uint16_t>(value));
}

// Looks for the OPT record; false if a record is broken. Of the rest of the query nothing is used.
bool read_additional(PacketReader& reader, unsigned records, DnsQuery& query) {
  for (unsigned i = 0; i < records; ++i) {
    std::string owner;
    uint16_t type, size, length;
    uint16_t ttl_high, ttl_low;
    if (!reader.name(owner) || !reader.number16(type) || !reader.number16(size)) return false;
    if (!reader.number16(ttl_high) || !reader.number16(ttl_low)) return false;
    if (!reader.number16(length) || !reader.skip(length)) return false;
    if (type != static_cast<uint16_t>(DnsType::opt)) continue;
    if (query.advertised_size || !owner.empty()) return false;  // one at most, of the root
    query.advertised_size = size;
  }
  return true;
}

std::optional<std::string> encode_name(std::string_view name) {
  std::string out;
  for (const std::string& label : split(name, '.')) {
    if (label.empty() || label.size() > kMaxLabel) return std::nullopt;
    out += static_cast<char>(label.size());
    out += label;
  }
  out += '\0';
  if (out.size() > kMaxName) return std::nullopt;
  return out;
}

// Questions are compared without regard to letter case.
bool same_question(DnsBytes a, DnsBytes b) {
  auto lower = [](uint8_t c) { return c >= 'A' && c <= 'Z' ? static_cast<uint8_t>(c - 'A' + 'a') : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](uint8_t x, uint8_t y) { return lower(x) == lower(y); });
}

std::optional<IpAddress> nibble_address(const std::vector<std::string>& labels) {
  std::array<uint8_t, 16> bytes{};
  for (size_t i = 0; i < 32; ++i) {
    const std::string& label = labels[i];
    constexpr std::string_view digits = "0123456789abcdef";
    size_t value = label.size() == 1 ? digits.find(label[0]) : std::string_view::npos;
    if (value == std::string_view::npos) return std::nullopt;
    size_t at = 31 - i;
    bytes[at / 2] |= static_cast<uint8_t>(at % 2 == 0 ? value << 4 : value);
  }
  return IpAddress::v6(bytes);
}

}  // namespace

std::optional<DnsQuery> parse_dns_query(DnsBytes packet) {
  if (packet.size() < kHeaderSize || (packet[2] & kResponse) != 0) return std::nullopt;
  DnsQuery query;
  query.id = static_cast<uint16_t>(packet[0] << 8 | packet[1]);
  query.recursion_desired = (packet[2] & kRecursionDesired) != 0;
  auto fail = [&](DnsCode code) {
    query.problem = code;
    return query;
  };
  if ((packet[2] & kOpcode) != 0) return fail(DnsCode::not_implemented);
  PacketReader header(packet, 4);
  uint16_t questions, answers, authorities, additional;
  header.number16(questions), header.number16(answers), header.number16(authorities), header.number16(additional);
  if (questions != 1 || answers != 0 || authorities != 0) return fail(DnsCode::format_error);

  PacketReader reader(packet, kHeaderSize);
  if (!reader.name(query.name) || !reader.number16(query.type) || !reader.number16(query.class_)) {
    return fail(DnsCode::format_error);
  }
  DnsBytes question = packet.subspan(kHeaderSize, reader.position() - kHeaderSize);
  query.question.assign(question.begin(), question.end());
  if (!read_additional(reader, additional, query)) {
    query.question.clear();
    return fail(DnsCode::format_error);
  }
  if (query.class_ != kClassInternet && query.class_ != kClassAny) return fail(DnsCode::refused);
  return query;
}

DnsRecord address_record(const IpAddress& address) {
  return {.type = address.is_v6() ? DnsType::aaaa : DnsType::a,
          .data = std::string(reinterpret_cast<const char*>(address.bytes()), address.size())};
}

std::optional<DnsRecord> pointer_record(std::string_view name) {
  auto data = encode_name(name);
  if (!data) return std::nullopt;
  return DnsRecord{.type = DnsType::ptr, .data = *data};
}

std::vector<uint8_t> build_dns_answer(const DnsQuery& query, DnsCode code, const std::vector<DnsRecord>& records,
                                      size_t max_size, uint32_t ttl) {
  std::vector<uint8_t> out;
  out.reserve(kHeaderSize + query.question.size() + records.size() * 28 + 11);
  append16(out, query.id);
  out.push_back(kResponse | (query.recursion_desired ? kRecursionDesired : 0));
  out.push_back(kRecursionAvailable | static_cast<uint8_t>(code));
  append16(out, query.question.empty() ? 0 : 1);
  append16(out, 0);  // answers, counted below
  append16(out, 0);
  append16(out, query.advertised_size ? 1 : 0);
  out.insert(out.end(), query.question.begin(), query.question.end());

  constexpr size_t kOptSize = 11;
  size_t room = max_size - std::min(max_size, query.advertised_size ? kOptSize : 0);
  uint16_t count = 0;
  for (const DnsRecord& record : records) {
    if (out.size() + 12 + record.data.size() > room || count == UINT16_MAX) {
      out[2] |= kTruncated;
      break;
    }
    append16(out, 0xc000 | kHeaderSize);  // the owner: a pointer to the question's name
    append16(out, static_cast<uint16_t>(record.type));
    append16(out, kClassInternet);
    append32(out, ttl);
    append16(out, static_cast<uint16_t>(record.data.size()));
    out.insert(out.end(), record.data.begin(), record.data.end());
    ++count;
  }
  out[6] = static_cast<uint8_t>(count >> 8);
  out[7] = static_cast<uint8_t>(count);
  if (query.advertised_size) {
    out.push_back(0);  // the root
    append16(out, static_cast<uint16_t>(DnsType::opt));
    append16(out, kOurUdpSize);
    append32(out, 0);  // extended code 0, version 0
    append16(out, 0);
  }
  return out;
}

size_t udp_answer_limit(const DnsQuery& query) {
  return std::clamp<size_t>(query.advertised_size.value_or(kSmallestUdp), kSmallestUdp, kOurUdpSize);
}

bool answers_dns_query(DnsBytes answer, uint16_t id, const DnsQuery& query) {
  if (answer.size() < kHeaderSize || (answer[2] & kResponse) == 0) return false;
  if ((answer[0] << 8 | answer[1]) != id) return false;
  // Servers may leave the question out of an error.
  bool without_question = answer[4] == 0 && answer[5] == 0;
  if (without_question) return dns_code_of(answer) != DnsCode::no_error;
  if (answer.size() < kHeaderSize + query.question.size()) return false;
  return same_question(answer.subspan(kHeaderSize, query.question.size()), query.question);
}

DnsCode dns_code_of(DnsBytes answer) {
  CHECK(answer.size() >= kHeaderSize);
  return static_cast<DnsCode>(answer[3] & 0x0f);
}

void set_dns_id(std::span<uint8_t> packet, uint16_t id) {
  CHECK(packet.size() >= 2);
  packet[0] = static_cast<uint8_t>(id >> 8);
  packet[1] = static_cast<uint8_t>(id);
}

std::optional<IpAddress> address_in_pointer_name(std::string_view name) {
  auto labels = split(name, '.');
  size_t count = labels.size();
  if (count == 34 && labels[32] == "ip6" && labels[33] == "arpa") return nibble_address(labels);
  if (count != 6 || labels[4] != "in-addr" || labels[5] != "arpa") return std::nullopt;
  uint32_t address = 0;
  for (size_t i = 4; i-- > 0;) {
    auto byte = parse_unsigned(labels[i]);
    if (!byte || *byte > 255 || labels[i].size() > 3) return std::nullopt;
    address = address << 8 | static_cast<uint32_t>(*byte);
  }
  return IpAddress::v4(address);
}

}  // namespace gantry::net

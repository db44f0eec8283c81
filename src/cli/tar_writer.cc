#include "cli/tar_writer.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace gantry::cli {

namespace {

constexpr size_t kBlock = 512;
constexpr uint64_t kLargestOctalSize = 077777777777;  // eleven digits
constexpr uint32_t kLargestOctalOwner = 07777777;     // seven digits

// POSIX.1-1988 ustar: offsets and lengths of the fields.
struct Field {
  size_t offset;
  size_t length;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUser{108, 8}, kGroup{116, 8}, kSize{124, 12}, kTime{136, 12},
    kChecksum{148, 8}, kType{156, 1}, kTarget{157, 100}, kMagic{257, 8};

using Block = std::array<char, kBlock>;

void put_text(Block& block, Field field, std::string_view text) {
  std::memcpy(block.data() + field.offset, text.data(), std::min(text.size(), field.length));
}

void put_octal(Block& block, Field field, uint64_t value) {
  for (size_t i = field.length - 1; i-- > 0; value >>= 3) {
    block[field.offset + i] = static_cast<char>('0' + (value & 7));
  }
}

std::string finished(Block& block) {
  std::memset(block.data() + kChecksum.offset, ' ', kChecksum.length);
  uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put_octal(block, {kChecksum.offset, 7}, sum);
  return std::string(block.data(), block.size());
}

std::string plain_header(const TarEntry& entry, char type) {
  Block block{};
  put_text(block, kName, entry.path);
  put_octal(block, kMode, entry.mode & 07777);
  put_octal(block, kUser, std::min(entry.uid, kLargestOctalOwner));
  put_octal(block, kGroup, std::min(entry.gid, kLargestOctalOwner));
  put_octal(block, kSize, std::min(entry.size, kLargestOctalSize));
  put_octal(block, kTime, static_cast<uint64_t>(std::max<int64_t>(entry.modified, 0)));
  block[kType.offset] = type;
  put_text(block, kTarget, entry.target);
  put_text(block, kMagic, std::string_view("ustar\00000", 8));
  return finished(block);
}

// "LENGTH KEY=VALUE\n", where LENGTH counts itself.
std::string pax_record(std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest;
  while (length != rest + std::to_string(length).size()) length = rest + std::to_string(length).size();
  return std::to_string(length) + " " + std::string(key) + "=" + std::string(value) + "\n";
}

char type_of(TarEntry::Kind kind) {
  switch (kind) {
    case TarEntry::Kind::file:
      return '0';
    case TarEntry::Kind::directory:
      return '5';
    case TarEntry::Kind::symlink:
      return '2';
  }
  return '0';
}

}  // namespace

std::string tar_header(const TarEntry& given) {
  TarEntry entry = given;
  if (entry.kind == TarEntry::Kind::directory) entry.path += '/';
  std::string records;
  if (entry.path.size() > kName.length) records += pax_record("path", entry.path);
  if (entry.target.size() > kTarget.length) records += pax_record("linkpath", entry.target);
  if (entry.uid > kLargestOctalOwner) records += pax_record("uid", std::to_string(entry.uid));
  if (entry.gid > kLargestOctalOwner) records += pax_record("gid", std::to_string(entry.gid));
  if (entry.size > kLargestOctalSize) records += pax_record("size", std::to_string(entry.size));
  std::string text;
  if (!records.empty()) {
    text = plain_header({.path = "pax", .mode = 0644, .size = records.size()}, 'x');
    text += records + tar_padding(records.size());
  }
  return text + plain_header(entry, type_of(entry.kind));
}

std::string tar_padding(uint64_t size) { return std::string((kBlock - size % kBlock) % kBlock, '\0'); }

std::string tar_end() { return std::string(2 * kBlock, '\0'); }

}  // namespace gantry::cli

#include "engine/image/layer_tar.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "engine/image/byte_source.h"
#include "engine/image/layer_view.h"

namespace gantry::engine {
namespace {

constexpr size_t kTarBlock = 512;

// The fields of a ustar header, POSIX.1-2017 pax(1) "ustar Interchange Format".
struct Header {
  std::string path;
  std::string link;
  char type = '0';
  mode_t mode = 0;
  uint64_t uid = 0;
  uint64_t gid = 0;
  uint64_t size = 0;
  int64_t modified = 0;
  unsigned major = 0;
  unsigned minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

// Octal with a NUL at the end; false if it does not fit.
bool put_octal(std::span<char> field, uint64_t value) {
  for (size_t i = field.size() - 1; i-- > 0;) {
    field[i] = static_cast<char>('0' + (value & 7));
    value >>= 3;
  }
  field.back() = '\0';
  return value == 0;
}

// "LENGTH key=value\n", where LENGTH counts its own digits.
std::string pax_record(const std::string& key, std::string_view value) {
  const size_t rest = 1 + key.size() + 1 + value.size() + 1;
  size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) length = std::to_string(length).size() + rest;
  std::string record = std::to_string(length) + " " + key + "=";
  return record.append(value).append("\n");
}

// Splits a long path at a slash into the prefix and name fields.
bool split_path(const std::string& path, std::string& prefix, std::string& name) {
  constexpr size_t kName = 100;
  constexpr size_t kPrefix = 155;
  if (path.size() <= kName) {
    name = path;
    return true;
  }
  for (size_t slash = path.find('/', path.size() - kName - 1); slash != std::string::npos && slash <= kPrefix;
       slash = path.find('/', slash + 1)) {
    if (slash + 1 == path.size() || slash == 0) continue;
    prefix = path.substr(0, slash);
    name = path.substr(slash + 1);
    return name.size() <= kName;
  }
  return false;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

class LayerTarWriter {
 public:
  explicit LayerTarWriter(const TarSink& sink) : sink_(sink) {}

  Result<> header(Header header) {
    std::string records;
    std::array<char, kTarBlock> block = render(header, records);
    if (!records.empty()) {
      std::string unused;
      TRY(put(render({.path = "PaxHeaders/x", .type = 'x', .mode = 0644, .size = records.size()}, unused)));
      TRY(sink_(records));
      TRY(pad(records.size()));
    }
    return put(block);
  }

  Result<> pad(uint64_t size) {
    static constexpr std::array<char, kTarBlock> kZeros{};
    const size_t over = size % kTarBlock;
    return over == 0 ? Result<>() : sink_({kZeros.data(), kTarBlock - over});
  }

  Result<> end() {
    const std::string zeros(2 * kTarBlock, '\0');
    return sink_(zeros);
  }

 private:
  Result<> put(const std::array<char, kTarBlock>& block) { return sink_({block.data(), block.size()}); }

  // What does not fit goes into `records`, PAX style.
  static std::array<char, kTarBlock> render(const Header& header, std::string& records) {
    std::array<char, kTarBlock> block{};
    const auto field = [&](size_t at, size_t size) { return std::span(block).subspan(at, size); };
    const auto text = [&](size_t at, size_t size, const std::string& value) {
      memcpy(block.data() + at, value.data(), std::min(size, value.size()));
    };
    std::string prefix;
    std::string name;
    if (!split_path(header.path, prefix, name) || !is_ascii(header.path)) {
      records += pax_record("path", header.path);
      name = header.path.substr(0, 100);
      prefix.clear();
    }
    text(0, 100, name);
    text(345, 155, prefix);
    if (header.link.size() > 100 || !is_ascii(header.link)) records += pax_record("linkpath", header.link);
    text(157, 100, header.link);
    put_octal(field(100, 8), header.mode);
    if (!put_octal(field(108, 8), header.uid)) records += pax_record("uid", std::to_string(header.uid));
    if (!put_octal(field(116, 8), header.gid)) records += pax_record("gid", std::to_string(header.gid));
    if (!put_octal(field(124, 12), header.size)) records += pax_record("size", std::to_string(header.size));
    if (header.modified < 0 || !put_octal(field(136, 12), static_cast<uint64_t>(header.modified))) {
      put_octal(field(136, 12), 0);
      records += pax_record("mtime", std::to_string(header.modified));
    }
    block[156] = header.type;
    memcpy(block.data() + 257, "ustar\00000", 8);
    put_octal(field(329, 8), header.major);
    put_octal(field(337, 8), header.minor);
    for (const auto& [key, value] : header.xattrs) {
      if (key.starts_with("user.") || key == "security.capability") records += pax_record("SCHILY.xattr." + key, value);
    }
    memset(block.data() + 148, ' ', 8);
    unsigned sum = 0;
    for (char c : block) sum += static_cast<unsigned char>(c);
    put_octal(field(148, 7), sum);
    return block;
  }

  const TarSink& sink_;
};

class LayerWalk {
 public:
  explicit LayerWalk(const TarSink& sink) : sink_(sink), writer_(sink), buffer_(kTransferBuffer) {}

  Result<uint64_t> run(int directory) {
    const LayerView view = TRY(LayerView::open({fd_path(directory)}));
    if (is_opaque(directory)) TRY(whiteout(".wh..wh..opq", view.root()));
    TRY(walk(view.root(), ""));
    TRY(writer_.end());
    return size_;
  }

 private:
  // LayerView hides whiteouts, so the names come from the directory itself.
  Result<> walk(const LayerView::Node& directory, const std::string& prefix) {
    for (const std::string& name : TRY(LayerView::raw_names(directory))) {
      const LayerView::Node node = TRY(LayerView::raw_child(directory, name));
      TRY(add(node, prefix + name, prefix, name));
    }
    return {};
  }

  Result<> whiteout(const std::string& path, const LayerView::Node& node) {
    return writer_.header({.path = path, .mode = 0, .modified = node.status().st_mtim.tv_sec});
  }

  Result<> add(const LayerView::Node& node, const std::string& path, const std::string& prefix,
               const std::string& name) {
    const struct stat& status = node.status();
    if (is_whiteout(status)) return whiteout(prefix + ".wh." + name, node);
    auto xattrs = TRY(LayerView::xattrs(node));
    Header header{.path = path,
                  .mode = status.st_mode & 07777,
                  .uid = status.st_uid,
                  .gid = status.st_gid,
                  .modified = status.st_mtim.tv_sec,
                  .xattrs = std::move(xattrs)};
    if (node.is_directory()) {
      header.path += '/';
      header.type = '5';
      TRY(writer_.header(std::move(header)));
      if (is_opaque(node.fd())) TRY(whiteout(path + "/.wh..wh..opq", node));
      return walk(node, path + "/");
    }
    if (status.st_nlink > 1) {
      const auto [first, is_new] = names_.try_emplace({status.st_dev, status.st_ino}, path);
      if (!is_new) {
        header.type = '1';
        header.link = first->second;
        header.xattrs.clear();
        return writer_.header(std::move(header));
      }
    }
    if (node.is_file()) return add_file(node, std::move(header));
    if (node.is_symlink()) {
      header.type = '2';
      header.link = TRY(LayerView::read_link(node));
      header.mode = 0777;
    } else if (S_ISFIFO(status.st_mode)) {
      header.type = '6';
    } else if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
      header.type = S_ISCHR(status.st_mode) ? '3' : '4';
      header.major = major(status.st_rdev);
      header.minor = minor(status.st_rdev);
    } else {
      return {};  // a socket: nothing that an image can hold
    }
    return writer_.header(std::move(header));
  }

  Result<> add_file(const LayerView::Node& node, Header header) {
    header.size = static_cast<uint64_t>(node.status().st_size);
    const uint64_t size = header.size;
    TRY(writer_.header(std::move(header)));
    if (size == 0) return {};
    const Fd file = TRY(LayerView::open_file(node));
    for (uint64_t left = size; left > 0;) {
      const ssize_t got = read(file.get(), buffer_.data(), std::min<uint64_t>(left, buffer_.size()));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Error::from_errno(errno, "read", node.path());
      if (got == 0) return internal_error(node.path() + " shrank while it was read");
      TRY(sink_({buffer_.data(), static_cast<size_t>(got)}));
      left -= static_cast<uint64_t>(got);
    }
    size_ += size;
    return writer_.pad(size);
  }

  const TarSink& sink_;
  LayerTarWriter writer_;
  std::vector<char> buffer_;
  std::map<std::pair<dev_t, ino_t>, std::string> names_;
  uint64_t size_ = 0;
};

}  // namespace

Result<> write_layer_tar(int directory, const TarSink& sink) {
  TRY(LayerWalk(sink).run(directory));
  return {};
}

Result<LayerSummary> summarize_layer(int directory) {
  Sha256 hash;
  const TarSink sink = [&](std::string_view data) {
    hash.update(data);
    return Result<>();
  };
  LayerSummary summary;
  summary.size = TRY(LayerWalk(sink).run(directory));
  summary.diff_id = hash.finish();
  return summary;
}

namespace {

std::string header_text(Header header) {
  std::string text;
  const TarSink sink = [&text](std::string_view piece) {
    text.append(piece);
    return Result<>();
  };
  CHECK(LayerTarWriter(sink).header(std::move(header)).ok());
  return text;
}

}  // namespace

std::string tar_file_header(const std::string& path, uint64_t size) {
  return header_text({.path = path, .mode = 0644, .size = size});
}

std::string tar_directory_header(const std::string& path) {
  return header_text({.path = path + "/", .type = '5', .mode = 0755});
}

std::string tar_padding(uint64_t size) { return std::string((kTarBlock - size % kTarBlock) % kTarBlock, '\0'); }

}  // namespace gantry::engine

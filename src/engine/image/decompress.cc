// The decompressors behind decompressed(): ISA-L for gzip, because unpacking gzip is what most of a pull's processor
// time goes into; libzstd; libarchive's filters for the rare ones.
#include <archive.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <cstring>
#include <vector>

#include "engine/image/byte_source.h"

namespace gantry::engine {
namespace {

constexpr int kLargestZstdWindowLog = 27;  // 128 MiB: what containerd and Docker accept

// Gives back the first bytes that were looked at, then the rest.
class PeekedSource final : public ByteSource {
 public:
  explicit PeekedSource(ByteSource& from) : from_(from) {}

  Result<std::string_view> peek(size_t size) {
    while (head_.size() < size) {
      char buffer[16];
      const size_t got = TRY(from_.read({buffer, size - head_.size()}));
      if (got == 0) break;
      head_.append(buffer, got);
    }
    return std::string_view(head_);
  }
  Result<size_t> read(std::span<char> into) override {
    if (head_.empty()) return from_.read(into);
    const size_t size = std::min(into.size(), head_.size());
    memcpy(into.data(), head_.data(), size);
    head_.erase(0, size);
    return size;
  }

 private:
  ByteSource& from_;
  std::string head_;
};

// What all of them share: input in pieces.
class Decompressor : public ByteSource {
 protected:
  explicit Decompressor(std::unique_ptr<PeekedSource> from) : from_(std::move(from)), input_(kTransferBuffer) {}
  std::unique_ptr<PeekedSource> from_;
  std::vector<char> input_;
};

class GzipSource final : public Decompressor {
 public:
  explicit GzipSource(std::unique_ptr<PeekedSource> from) : Decompressor(std::move(from)) { start_member(); }

  Result<size_t> read(std::span<char> into) override {
    while (!ended_) {
      if (state_->block_state == ISAL_BLOCK_FINISH && !TRY(next_member())) break;
      if (state_->avail_in == 0) TRY(fill());
      state_->next_out = reinterpret_cast<uint8_t*>(into.data());
      state_->avail_out = static_cast<uint32_t>(std::min<size_t>(into.size(), UINT32_MAX));
      const uint32_t offered = state_->avail_out;
      const int code = isal_inflate(state_.get());
      if (code != ISAL_DECOMP_OK && code != ISAL_END_INPUT) {
        return invalid(code == ISAL_INCORRECT_CHECKSUM ? "gzip data: wrong checksum" : "gzip data is damaged");
      }
      if (const size_t got = offered - state_->avail_out; got != 0) return got;
    }
    return size_t{0};
  }

 private:
  void start_member() {
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP;
  }
  // A gzip file may be several ones after each other; bytes behind the last that are no gzip header are padding.
  Result<bool> next_member() {
    uint8_t* rest = state_->next_in;
    uint32_t left = state_->avail_in;
    if (left < 2) {
      const std::string head(reinterpret_cast<char*>(rest), left);
      memcpy(input_.data(), head.data(), head.size());
      while (left < 2) {
        const size_t got = TRY(from_->read(std::span(input_).subspan(left)));
        if (got == 0) break;
        left += static_cast<uint32_t>(got);
      }
      rest = reinterpret_cast<uint8_t*>(input_.data());
    }
    if (left < 2 || rest[0] != 0x1f || rest[1] != 0x8b) {
      ended_ = true;
      TRY(drain(*from_));
      return false;
    }
    start_member();
    state_->next_in = rest;
    state_->avail_in = left;
    return true;
  }
  Result<> fill() {
    const size_t got = TRY(from_->read(input_));
    if (got == 0) return invalid("unexpected end of gzip data");
    state_->next_in = reinterpret_cast<uint8_t*>(input_.data());
    state_->avail_in = static_cast<uint32_t>(got);
    return {};
  }

  std::unique_ptr<inflate_state> state_ = std::make_unique<inflate_state>();
  bool ended_ = false;
};

class ZstdSource final : public Decompressor {
 public:
  explicit ZstdSource(std::unique_ptr<PeekedSource> from) : Decompressor(std::move(from)) {
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kLargestZstdWindowLog);
  }

  Result<size_t> read(std::span<char> into) override {
    while (true) {
      if (pending_.pos == pending_.size && !full_) {
        const size_t got = TRY(from_->read(input_));
        if (got == 0) {
          if (within_frame_) return invalid("unexpected end of zstd data");
          return size_t{0};
        }
        pending_ = {input_.data(), got, 0};
      }
      ZSTD_outBuffer out{into.data(), into.size(), 0};
      const size_t code = ZSTD_decompressStream(context_.get(), &out, &pending_);
      if (ZSTD_isError(code) != 0) return invalid(std::string("zstd data: ") + ZSTD_getErrorName(code));
      within_frame_ = code != 0;
      full_ = out.pos == out.size;  // there may be more in its own buffers
      if (out.pos != 0) return out.pos;
    }
  }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_{ZSTD_createDCtx()};
  ZSTD_inBuffer pending_{nullptr, 0, 0};
  bool within_frame_ = false;
  bool full_ = false;
};

// bzip2 and xz.
class ArchiveFilterSource final : public Decompressor {
 public:
  explicit ArchiveFilterSource(std::unique_ptr<PeekedSource> from) : Decompressor(std::move(from)) {}

  Result<> open() {
    archive_read_support_format_raw(archive_.get());
    archive_read_support_filter_bzip2(archive_.get());
    archive_read_support_filter_xz(archive_.get());
    archive_entry* entry = nullptr;
    if (archive_read_open(archive_.get(), this, nullptr, on_read, nullptr) != ARCHIVE_OK ||
        archive_read_next_header(archive_.get(), &entry) != ARCHIVE_OK) {
      return error();
    }
    return {};
  }
  Result<size_t> read(std::span<char> into) override {
    const la_ssize_t got = archive_read_data(archive_.get(), into.data(), into.size());
    if (got < 0) return error();
    return static_cast<size_t>(got);
  }

 private:
  Error error() {
    if (failed_.has_value()) return *failed_;
    const char* text = archive_error_string(archive_.get());
    return invalid(text == nullptr ? "compressed data is damaged" : text);
  }
  static la_ssize_t on_read(archive* archive, void* self, const void** buffer) {
    auto* source = static_cast<ArchiveFilterSource*>(self);
    Result<size_t> got = source->from_->read(source->input_);
    if (!got.ok()) {
      source->failed_ = std::move(got).error();
      archive_set_error(archive, EIO, "read failed");
      return -1;
    }
    *buffer = source->input_.data();
    return static_cast<la_ssize_t>(*got);
  }

  struct Free {
    void operator()(archive* archive) const { archive_read_free(archive); }
  };
  std::unique_ptr<archive, Free> archive_{archive_read_new()};
  std::optional<Error> failed_;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> decompressed(ByteSource& from) {
  using namespace std::string_view_literals;
  auto peeked = std::make_unique<PeekedSource>(from);
  const std::string_view head = TRY(peeked->peek(6));
  if (head.starts_with("\x1f\x8b")) return {std::make_unique<GzipSource>(std::move(peeked))};
  if (head.starts_with("\x28\xb5\x2f\xfd")) return {std::make_unique<ZstdSource>(std::move(peeked))};
  if (head.starts_with("BZh") || head.starts_with("\xfd"
                                                  "7zXZ\0"sv)) {
    auto source = std::make_unique<ArchiveFilterSource>(std::move(peeked));
    TRY(source->open());
    return {std::move(source)};
  }
  return {std::move(peeked)};
}

}  // namespace gantry::engine

#include "engine/image/gzip_writer.h"

#include <isa-l/igzip_lib.h>

#include <vector>

namespace gantry::engine {

struct GzipWriter::State {
  isal_zstream stream{};
  std::vector<uint8_t> level_buffer = std::vector<uint8_t>(ISAL_DEF_LVL1_DEFAULT);
  std::vector<uint8_t> output = std::vector<uint8_t>(256 * 1024);
};

GzipWriter::GzipWriter(Sink sink) : sink_(std::move(sink)), state_(std::make_unique<State>()) {
  isal_deflate_init(&state_->stream);
  state_->stream.gzip_flag = IGZIP_GZIP;
  state_->stream.level = 1;
  state_->stream.level_buf = state_->level_buffer.data();
  state_->stream.level_buf_size = static_cast<uint32_t>(state_->level_buffer.size());
}

GzipWriter::~GzipWriter() = default;

Result<> GzipWriter::write(std::string_view data) { return compress(data, false); }
Result<> GzipWriter::finish() { return compress({}, true); }

Result<> GzipWriter::compress(std::string_view data, bool is_last) {
  isal_zstream& stream = state_->stream;
  stream.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uint32_t>(data.size());
  stream.end_of_stream = is_last ? 1 : 0;
  do {
    stream.next_out = state_->output.data();
    stream.avail_out = static_cast<uint32_t>(state_->output.size());
    if (isal_deflate(&stream) != COMP_OK) return internal_error("gzip compression failed");
    const size_t size = state_->output.size() - stream.avail_out;
    if (size > 0) TRY(sink_({reinterpret_cast<const char*>(state_->output.data()), size}));
  } while (stream.avail_in > 0 || stream.avail_out == 0 ||
           (is_last && stream.internal_state.state != ZSTATE_END));
  return {};
}

}  // namespace gantry::engine

// The multiplexed stream of attach, exec and logs: frames of an 8-byte header (stream number, three zeros, length in
// big-endian) and a payload. Containers with a terminal send bare bytes instead. Pure; one thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace gantry::cli {

enum class StreamKind { stdout_stream, stderr_stream };

class FrameReader {
 public:
  using Receiver = std::function<void(StreamKind, std::string_view)>;
  // `raw`: the bytes have no frames (terminal); all are standard output.
  FrameReader(bool raw, Receiver receive) : raw_(raw), receive_(std::move(receive)) {}
  // Hands over whole and part payloads as they come. False: the bytes are no such stream.
  bool add(std::string_view bytes);
  // What the last frame of POST /gantry/v1/containers/{id}/exec tells, once it has come.
  std::optional<int> exit_code() const;
  bool is_over() const { return is_exit_code_ && payload_left_ == 0; }  // that frame is whole: nothing follows

 private:
  void take_payload(std::string_view part);

  bool raw_;
  Receiver receive_;
  std::string header_;
  size_t payload_left_ = 0;
  StreamKind kind_ = StreamKind::stdout_stream;
  bool is_exit_code_ = false;  // the frame that is read
  std::string exit_code_;
};

// Cuts the two streams into lines, each on its own, and hands them over without line feed. finish() hands over what
// has none.
class LineSplitter {
 public:
  using Receiver = std::function<void(StreamKind, std::string_view line)>;
  explicit LineSplitter(Receiver receive) : receive_(std::move(receive)) {}
  void add(StreamKind kind, std::string_view bytes);
  void finish();

 private:
  std::string& rest(StreamKind kind) { return kind == StreamKind::stdout_stream ? out_ : err_; }
  Receiver receive_;
  std::string out_;
  std::string err_;
};

}  // namespace gantry::cli

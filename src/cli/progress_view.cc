#include "cli/progress_view.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "cli/progress_rows.h"

namespace gantry::cli {

namespace {

using compose::Progress;

// A line per event.
class LineView final : public ProgressView {
 public:
  LineView(Output output, std::string (*line)(const Progress&)) : output_(output), line_(line) {}
  void show(const Progress& progress) override { output_.write(line_(progress)); }
  void show_all(std::span<const Progress> list) override {
    std::string text;
    for (const Progress& progress : list) text += line_(progress);
    if (!text.empty()) output_.write(text);
  }
  void print_above(const std::function<void()>& print) override { print(); }
  void finish() override {}

 private:
  Output output_;
  std::string (*line_)(const Progress&);
};

class QuietView final : public ProgressView {
 public:
  void show(const Progress&) override {}
  void print_above(const std::function<void()>& print) override { print(); }
  void finish() override {}
};

// Rows redrawn in place by a thread of its own, so that spinners and timers move while nothing arrives.
class TerminalView final : public ProgressView {
 public:
  TerminalView(const ProgressStyle& style, Output output, const Clock& clock)
      : output_(output), clock_(clock), rows_(style.operation, style.colour) {}
  ~TerminalView() override { finish(); }

  void show(const Progress& progress) override {
    std::lock_guard lock(mutex_);
    rows_.apply(progress, clock_.mono());
    if (!drawer_.joinable() && !finished_) {
      drawer_ = std::thread([this] { draw_until_finished(); });
    }
  }

  void print_above(const std::function<void()>& print) override {
    std::lock_guard lock(mutex_);
    erase();
    print();
    if (!finished_) draw();
  }

  void finish() override {
    {
      std::lock_guard lock(mutex_);
      if (finished_) return;
      finished_ = true;
      changed_.notify_all();
    }
    if (drawer_.joinable()) drawer_.join();
    std::lock_guard lock(mutex_);
    draw();
    if (cursor_hidden_) output_.write("\x1b[?25h");
    cursor_hidden_ = false;
    drawn_lines_ = 0;
  }

 private:
  static constexpr auto kFrame = std::chrono::milliseconds(100);

  void draw_until_finished() {
    std::unique_lock lock(mutex_);
    while (!finished_) {
      draw();
      changed_.wait_for(lock, kFrame, [this] { return finished_; });
    }
  }

  // The three below: with mutex_ held.
  std::string to_first_line() const { return drawn_lines_ == 0 ? "" : "\r\x1b[" + std::to_string(drawn_lines_) + "A"; }
  void erase() {
    output_.write(to_first_line() + (drawn_lines_ == 0 ? "" : "\x1b[J"));
    drawn_lines_ = 0;
  }
  void draw() {
    if (rows_.empty()) return;
    std::string text = cursor_hidden_ ? "" : "\x1b[?25l";
    cursor_hidden_ = true;
    text += to_first_line();
    const auto lines = rows_.frame(output_.size(), clock_.mono());
    for (const std::string& line : lines) text += line + "\x1b[K\n";
    text += "\x1b[J";
    drawn_lines_ = lines.size();
    output_.write(text);
  }

  Output output_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread drawer_;
  ProgressRows rows_;
  size_t drawn_lines_ = 0;
  bool cursor_hidden_ = false;
  bool finished_ = false;
};

// Leaves out what the command does not want to see.
class FilteredView final : public ProgressView {
 public:
  FilteredView(std::unique_ptr<ProgressView> view, bool show_starts, bool show_layers)
      : view_(std::move(view)), show_starts_(show_starts), show_layers_(show_layers) {}
  void show(const Progress& progress) override {
    if (is_wanted(progress)) view_->show(progress);
  }
  void show_all(std::span<const Progress> list) override {
    std::vector<Progress> wanted;
    for (const Progress& progress : list)
      if (is_wanted(progress)) wanted.push_back(progress);
    view_->show_all(wanted);
  }
  void print_above(const std::function<void()>& print) override { view_->print_above(print); }
  void finish() override { view_->finish(); }

 private:
  bool is_wanted(const Progress& progress) const {
    const bool is_start = progress.text == "Starting" || progress.text == "Started";
    if (!show_starts_ && is_start && progress.status != Progress::Status::error) return false;
    return show_layers_ || progress.layer.empty();
  }

  std::unique_ptr<ProgressView> view_;
  bool show_starts_;
  bool show_layers_;
};

std::unique_ptr<ProgressView> make_plainly(const ProgressStyle& style, const Output& output, const Clock& clock) {
  switch (style.mode) {
    case ProgressMode::tty:
      return std::make_unique<TerminalView>(style, output, clock);
    case ProgressMode::plain:
      return std::make_unique<LineView>(output, plain_line);
    case ProgressMode::json:
      return std::make_unique<LineView>(output, json_line);
    case ProgressMode::quiet:
      break;
  }
  return std::make_unique<QuietView>();
}

}  // namespace

std::unique_ptr<ProgressView> ProgressView::make(const ProgressStyle& style, const Output& output, const Clock& clock) {
  auto view = make_plainly(style, output, clock);
  if (style.show_starts && style.show_layers) return view;
  return std::make_unique<FilteredView>(std::move(view), style.show_starts, style.show_layers);
}

std::string plain_line(const Progress& progress) {
  std::string text = " ";
  if (progress.layer.empty()) {
    text += resource_label(progress) + " " + progress.text + " " + progress.details;
    if (!progress.cause.empty()) text += (progress.details.empty() ? "(" : " (") + progress.cause + ")";
  } else {
    text += progress.layer + " " + progress.text + " " + progress.details;
  }
  return text + "\n";
}

}  // namespace gantry::cli

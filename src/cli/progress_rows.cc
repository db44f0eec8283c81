#include "cli/progress_rows.h"

#include <array>
#include <cstdio>

#include "cli/style.h"
#include "cli/text.h"

namespace gantry::cli {

using compose::Progress;
using Status = compose::Progress::Status;

namespace {

constexpr size_t kShortestLabel = 10;
constexpr auto kSpinnerStep = std::chrono::milliseconds(100);

std::string_view spinner(MonoTime since, MonoTime now) {
  constexpr std::array<std::string_view, 10> kFrames = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
  return kFrames[static_cast<size_t>((now - since) / kSpinnerStep) % kFrames.size()];
}

Colour colour_of(Status status) {
  switch (status) {
    case Status::working:
      return Colour::yellow;
    case Status::done:
      return Colour::green;
    case Status::warning:
      return Colour::bold_yellow;
    case Status::error:
      return Colour::bold_red;
  }
  return Colour::none;
}

std::string_view symbol(Status status, MonoTime started, MonoTime now) {
  switch (status) {
    case Status::working:
      return spinner(started, now);
    case Status::done:
      return "✔";
    case Status::warning:
      return "!";
    case Status::error:
      return "✘";
  }
  return " ";
}

std::string timer(std::chrono::nanoseconds elapsed) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.1fs", std::chrono::duration<double>(elapsed).count());
  return text.data();
}

std::string single_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return text;
}

}  // namespace

std::string resource_label(const Progress& progress) {
  switch (progress.resource) {
    case Progress::Resource::network:
      return "Network " + progress.name;
    case Progress::Resource::volume:
      return "Volume " + progress.name;
    case Progress::Resource::image:
      return "Image " + progress.name;
    case Progress::Resource::container:
      return "Container " + progress.name;
    case Progress::Resource::project:
    case Progress::Resource::service:
      break;
  }
  return progress.name;
}

ProgressRows::Row& ProgressRows::row_of(const std::string& label, MonoTime now) {
  const auto [place, inserted] = index_.try_emplace(label, rows_.size());
  if (inserted) rows_.push_back({.label = label, .started = now});
  return rows_[place->second];
}

void ProgressRows::apply(const Progress& progress, MonoTime now) {
  Row& row = row_of(resource_label(progress), now);
  if (!progress.layer.empty()) return apply_layer(row, progress);
  const bool was_working = row.status == Status::working;
  // A second step of the same resource (Created, then Starting) counts from its own begin.
  if (!was_working && progress.status == Status::working) row.started = now;
  row.status = progress.status;
  row.text = single_line(progress.text);
  row.details = single_line(progress.details);
  if (!progress.cause.empty()) {
    const std::string cause = single_line(progress.cause);
    row.details = row.details.empty() ? cause : row.details + " (" + cause + ")";
  }
  if (progress.status != Status::working) row.ended = now;
}

void ProgressRows::apply_layer(Row& row, const Progress& progress) {
  Layer& layer = row.layers[progress.layer];
  if (progress.total != 0) layer = {.current = progress.current, .total = progress.total, .done = layer.done};
  if (progress.status == Status::done) {
    layer.done = true;
    layer.current = layer.total;
  }
}

std::string ProgressRows::header() const {
  size_t finished = 0;
  size_t all = 0;
  for (const Row& row : rows_) {
    all += 1 + row.layers.size();
    if (row.status != Status::working) ++finished;
    for (const auto& [name, layer] : row.layers) finished += layer.done || row.status != Status::working ? 1 : 0;
  }
  return "[+] " + operation_ + " " + std::to_string(finished) + "/" + std::to_string(all);
}

// What still works or went wrong is more interesting than what is done; the order stays.
std::vector<const ProgressRows::Row*> ProgressRows::visible_rows(size_t room) const {
  std::vector<const Row*> visible;
  size_t unfinished = 0;
  for (const Row& row : rows_) unfinished += row.status == Status::done ? 0 : 1;
  size_t room_for_done = room > unfinished ? room - unfinished : 0;
  for (const Row& row : rows_) {
    if (visible.size() == room) break;
    if (row.status == Status::done) {
      if (room_for_done == 0) continue;
      --room_for_done;
    }
    visible.push_back(&row);
  }
  return visible;
}

std::vector<std::string> ProgressRows::frame(TerminalSize size, MonoTime now) const {
  const size_t columns = static_cast<size_t>(std::max(size.columns, 20));
  const size_t room = static_cast<size_t>(std::max(size.rows - 2, 2));  // header, and the line the cursor is in
  const bool all_fit = rows_.size() <= room;
  const auto visible = visible_rows(all_fit ? room : room - 1);
  size_t label_width = 0;
  for (const Row* row : visible) {
    const size_t bar = row->layers.empty() ? 0 : 3 + row->layers.size();
    label_width = std::max(label_width, display_width(row->label) + bar);
  }
  std::vector<std::string> lines{shorten(header(), columns)};
  for (const Row* row : visible) lines.push_back(line(*row, label_width, columns, now));
  if (!all_fit) lines.push_back(" ... " + std::to_string(rows_.size() - visible.size()) + " more");
  return lines;
}

// One braille cell a layer, fuller as it comes in.
std::string ProgressRows::layer_bar(const Row& row) {
  constexpr std::array<std::string_view, 9> kCells = {"⠀", "⡀", "⣀", "⣄", "⣤", "⣦", "⣶", "⣷", "⣿"};
  if (row.layers.empty()) return "";
  std::string bar = " [";
  for (const auto& [name, layer] : row.layers) {
    const size_t level = layer.total == 0 ? 0 : static_cast<size_t>(layer.current * 8 / layer.total);
    bar += kCells[layer.done ? 8 : std::min<size_t>(level, 8)];
  }
  return bar + "]";
}

std::string ProgressRows::layer_sizes(const Row& row) {
  uint64_t current = 0;
  uint64_t total = 0;
  for (const auto& [name, layer] : row.layers) {
    if (layer.total == 0 && !layer.done) return "";
    current += layer.current;
    total += layer.total;
  }
  return total == 0 ? "" : human_size(current) + " / " + human_size(total);
}

// Too narrow: the details go first, then the label is cut.
std::string ProgressRows::line(const Row& row, size_t label_width, size_t columns, MonoTime now) const {
  const bool working = row.status == Status::working;
  const std::string time = timer((working ? now : row.ended) - row.started);
  const std::string bar = working ? layer_bar(row) : "";
  std::string details = row.details;
  if (working && details.empty()) details = layer_sizes(row);

  constexpr size_t kMargin = 3;  // space, symbol, space
  const size_t fixed = kMargin + 2 + display_width(row.text) + 1 + time.size();
  const size_t label_room = columns > fixed + kShortestLabel ? columns - fixed : kShortestLabel;
  const size_t label_columns = std::min(label_width, label_room);
  const size_t bar_width = display_width(bar);
  const size_t label_limit = label_columns > bar_width ? label_columns - bar_width : label_columns;
  const std::string label = shorten(row.label, label_limit, "...") + bar;

  const size_t used = fixed + label_columns;
  const size_t details_room = columns > used + 1 ? columns - used - 1 : 0;
  details = details_room > 3 ? shorten(details, details_room, "...") : "";

  const auto paint = [this](std::string_view text, Colour colour) {
    return coloured(text, colour_ ? colour : Colour::none);
  };
  std::string text = " " + paint(symbol(row.status, row.started, now), colour_of(row.status)) + " " + label;
  text.append(label_columns > display_width(label) ? label_columns - display_width(label) : 0, ' ');
  text += "  " + paint(row.text, colour_of(row.status));
  if (!details.empty()) text += " " + details;
  const size_t width = used + (details.empty() ? 0 : 1 + display_width(details));  // with the timer and a space
  text.append(columns > width ? columns - width + 1 : 1, ' ');
  return text + paint(time, Colour::blue);
}

}  // namespace gantry::cli

#include <gtest/gtest.h>

#include "cli/progress_rows.h"
#include "cli/progress_view.h"
#include "cli/text.h"

namespace gantry::cli {
namespace {

using compose::Progress;
using Status = compose::Progress::Status;
using Resource = compose::Progress::Resource;
using namespace std::chrono_literals;

MonoTime at(std::chrono::milliseconds time) { return MonoTime(time); }

std::string frame(const ProgressRows& rows, TerminalSize size, std::chrono::milliseconds now) {
  std::string text;
  for (const std::string& line : rows.frame(size, at(now))) {
    EXPECT_LE(display_width(line), static_cast<size_t>(size.columns)) << line;
    text += line + "\n";
  }
  return text;
}

TEST(ProgressRows, ARowPerResourceWithStateAndTime) {
  ProgressRows rows("up", false);
  rows.apply({.resource = Resource::network, .name = "hello_default", .text = "Creating"}, at(0ms));
  rows.apply({.resource = Resource::network, .name = "hello_default", .status = Status::done, .text = "Created"},
             at(100ms));
  rows.apply({.resource = Resource::container, .name = "hello-web-1", .text = "Starting"}, at(200ms));
  rows.apply({.resource = Resource::container,
              .name = "hello-db-1",
              .status = Status::error,
              .text = "Error",
              .details = "port 80 is taken"},
             at(300ms));
  EXPECT_EQ(frame(rows, {.columns = 60, .rows = 24}, 600ms),
            "[+] up 2/3\n"
            " ✔ Network hello_default  Created                       0.1s\n"
            " ⠼ Container hello-web-1  Starting                      0.4s\n"
            " ✘ Container hello-db-1   Error port 80 is taken        0.0s\n");
}

TEST(ProgressRows, TheCauseStandsBesideTheAction) {
  ProgressRows rows("up", false);
  rows.apply({.resource = Resource::container, .name = "a-1", .text = "Recreate", .cause = "image changed"}, at(0ms));
  EXPECT_EQ(frame(rows, {.columns = 60, .rows = 24}, 0ms),
            "[+] up 0/1\n"
            " ⠋ Container a-1  Recreate image changed                0.0s\n");
}

TEST(ProgressRows, LayersAreCellsAndCountAsTasks) {
  ProgressRows rows("pull", false);
  rows.apply({.resource = Resource::image, .name = "nginx", .text = "Pulling"}, at(0ms));
  rows.apply({.resource = Resource::image, .name = "nginx", .current = 5'000'000, .total = 10'000'000, .layer = "a"},
             at(0ms));
  rows.apply({.resource = Resource::image, .name = "nginx", .current = 2'000'000, .total = 2'000'000, .layer = "b"},
             at(0ms));
  EXPECT_EQ(frame(rows, {.columns = 60, .rows = 24}, 0ms),
            "[+] pull 0/3\n"
            " ⠋ Image nginx [⣤⣿]  Pulling 7MB / 12MB                 0.0s\n");
}

TEST(ProgressRows, NarrowTerminalsLoseDetailsFirstAndThenPartsOfTheName) {
  ProgressRows rows("up", false);
  rows.apply(
      {.resource = Resource::container, .name = "a-rather-long-name-1", .text = "Starting", .details = "because"},
      at(0ms));
  EXPECT_EQ(frame(rows, {.columns = 50, .rows = 24}, 0ms),
            "[+] up 0/1\n"
            " ⠋ Container a-rather-long-name-1  Starting   0.0s\n");
  EXPECT_EQ(frame(rows, {.columns = 36, .rows = 24}, 0ms),
            "[+] up 0/1\n"
            " ⠋ Container a-rat...  Starting 0.0s\n");
}

TEST(ProgressRows, MoreRowsThanLinesShowWhatStillWorksFirst) {
  ProgressRows rows("up", false);
  for (int i = 0; i < 20; ++i) {
    rows.apply({.resource = Resource::container,
                .name = "c" + std::to_string(i),
                .status = i == 17 ? Status::working : Status::done,
                .text = "X"},
               at(0ms));
  }
  EXPECT_EQ(frame(rows, {.columns = 30, .rows = 6}, 0ms),
            "[+] up 19/20\n"
            " ✔ Container c0   X       0.0s\n"
            " ✔ Container c1   X       0.0s\n"
            " ⠋ Container c17  X       0.0s\n"
            " ... 17 more\n");
}

TEST(ProgressRows, TextsOfOthersCannotBreakTheLine) {
  ProgressRows rows("up", false);
  rows.apply({.resource = Resource::image, .name = "x", .text = "Error", .details = "one\ntwo\x1b[2J"}, at(0ms));
  const std::string text = frame(rows, {.columns = 60, .rows = 24}, 0ms);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(ProgressLines, PlainIsALinePerEvent) {
  EXPECT_EQ(plain_line({.resource = Resource::container, .name = "app-db-1", .text = "Started"}),
            " Container app-db-1 Started \n");
  EXPECT_EQ(plain_line({.resource = Resource::container, .name = "a", .text = "Recreate", .cause = "image changed"}),
            " Container a Recreate (image changed)\n");
  EXPECT_EQ(
      plain_line({.resource = Resource::image, .name = "a", .text = "Downloading", .details = "1.2MB", .layer = "9f3"}),
      " 9f3 Downloading 1.2MB\n");
}

TEST(ProgressLines, JsonLeavesOutWhatIsEmpty) {
  EXPECT_EQ(json_line({.resource = Resource::network, .name = "n", .status = Status::done, .text = "Created"}),
            "{\"id\":\"Network n\",\"status\":\"Done\",\"text\":\"Created\"}\n");
  EXPECT_EQ(
      json_line(
          {.resource = Resource::image, .name = "i", .text = "Downloading", .current = 1, .total = 4, .layer = "9f3"}),
      "{\"id\":\"9f3\",\"parent_id\":\"Image i\",\"status\":\"Working\",\"text\":\"Downloading\",\"current\":1,"
      "\"total\":4,\"percent\":25}\n");
}

}  // namespace
}  // namespace gantry::cli

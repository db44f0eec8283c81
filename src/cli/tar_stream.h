// Files of this machine as a tar archive, piece by piece: a list of entries is made first, their content is read as it
// is sent. Blocking; one thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "cli/tar_writer.h"

namespace gantry::cli {

struct TarItem {
  TarEntry header;
  std::filesystem::path source;  // "": the content is `content`
  std::string content;
};

class TarStream {
 public:
  TarStream() = default;
  // `what`: what is being read, for messages.
  TarStream(std::vector<TarItem> items, std::string what) : items_(std::move(items)), what_(std::move(what)) {}

  // The next piece; "" at the end. Errors: a file cannot be read, or shrank since its entry was made.
  Result<std::string> next();
  size_t size() const { return items_.size(); }

 private:
  Result<std::string> next_content();

  std::vector<TarItem> items_;
  std::string what_;
  size_t next_item_ = 0;
  Fd open_file_;
  uint64_t content_left_ = 0;
  bool ended_ = false;
};

struct TreeRules {
  bool follow_link = false;  // a symbolic link at the root stands for what it points at
  bool keep_owner = false;   // else everything belongs to 0:0
  bool only_content = false; // the root directory itself is left out
};

// Everything below `path`, which is named `name` in the archive ("" with only_content). Sockets are left out.
// Errors: something cannot be read, or is a device or a pipe.
Result<std::vector<TarItem>> tree_items(const std::filesystem::path& path, const std::string& name,
                                        const TreeRules& rules);
// One file, directory (without what is in it) or link. Nothing if it is gone or cannot be archived.
Result<std::optional<TarItem>> single_item(const std::filesystem::path& path, const std::string& name,
                                           const TreeRules& rules);

}  // namespace gantry::cli

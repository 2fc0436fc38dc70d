import Foundation

/// Keeps the services' logs below a size: copies a log that has grown and cuts it to nothing, which is safe
/// because the services append. Three old pieces are kept.
struct LogRotation: Sendable {
    let files: [String]
    var limit = 16 << 20
    var kept = 3

    /// Looks every few seconds until cancelled.
    func run() async {
        while !Task.isCancelled {
            for file in files { rotate(file) }
            try? await Task.sleep(for: .seconds(5))
        }
    }

    func rotate(_ file: String) {
        let manager = FileManager.default
        guard let size = try? manager.attributesOfItem(atPath: file)[.size] as? Int, size > limit else {
            return
        }
        try? manager.removeItem(atPath: "\(file).\(kept)")
        for number in stride(from: kept - 1, through: 1, by: -1) {
            try? manager.moveItem(atPath: "\(file).\(number)", toPath: "\(file).\(number + 1)")
        }
        guard (try? manager.copyItem(atPath: file, toPath: "\(file).1")) != nil else { return }
        truncate(file, 0)
    }
}

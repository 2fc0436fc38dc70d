import Testing

/// Where `swift test` begins. Without this file SwiftPM looks for XCTest's classes in an editor's
/// index, which a build then has to write; all tests here are Swift Testing's, which finds its own, and a clean build takes
/// half the time without.
@main
struct TestMain {
    static func main() async {
        // SwiftPM asks once for each of the two libraries; of XCTest there is nothing.
        guard CommandLine.arguments.contains("swift-testing") else { return print(#"{"tests": []}"#) }
        await Testing.__swiftPMEntryPoint() as Never
    }
}

//! Bodies of every size, both ways, in every framing, compared byte for byte.

use std::fs;
use std::path::PathBuf;

use levee_tests::{Curl, Fetched, Process, Site, Version, pattern, sha256, wait_for};

/// Nothing, one byte, around a record's length, and beyond.
const SIZES: [u64; 6] = [0, 1, (16 << 10) - 1, 16 << 10, (16 << 10) + 1, 1 << 20];

/// Longer than all buffers on the way together.
const LONG: u64 = 100 << 20;

fn expect(fetched: &Fetched, length: u64, what: &str) {
    assert_eq!((fetched.code, fetched.status), (0, 200), "{what}: {}", fetched.said);
    assert_eq!(fetched.body.len() as u64, length, "{what}");
    assert_eq!(sha256(&fetched.body), sha256(&pattern(length)), "{what}");
}

#[test]
fn downloads() {
    let site = Site::new();
    for version in [Version::Tls13, Version::Tls12] {
        for framing in ["bytes", "chunked", "close"] {
            for length in SIZES {
                let path = format!("/{framing}/{length}");
                expect(&Curl::new(&site).version(version).fetch(&path), length, &path);
            }
        }
    }
    site.finish();
}

#[test]
fn long_downloads() {
    let site = Site::new();
    for (version, framing) in [
        (Version::Tls13, "bytes"),
        (Version::Tls13, "chunked"),
        (Version::Tls13, "close"),
        (Version::Tls12, "bytes"),
    ] {
        let path = format!("/{framing}/{LONG}");
        expect(&Curl::new(&site).version(version).fetch(&path), LONG, &path);
    }
    site.finish();
}

/// Both framings of an upload: what the origin hashed, and what it sent back.
#[test]
fn uploads() {
    let site = Site::new();
    for version in [Version::Tls13, Version::Tls12] {
        for length in SIZES {
            for chunked in [false, true] {
                let what = format!("{length} bytes, chunked: {chunked}");
                let hashed = upload(&site, length, chunked).version(version).fetch("/hash");
                assert_eq!((hashed.code, hashed.status), (0, 200), "{what}: {}", hashed.said);
                assert_eq!(hashed.body.trim_ascii_end(), sha256(&pattern(length)).as_bytes(), "{what}");
                expect(&upload(&site, length, chunked).version(version).fetch("/echo"), length, &what);
            }
        }
    }
    site.finish();
}

#[test]
fn long_uploads() {
    let site = Site::new();
    for chunked in [false, true] {
        let hashed = upload(&site, LONG, chunked).fetch("/hash");
        assert_eq!((hashed.code, hashed.status), (0, 200), "chunked: {chunked}: {}", hashed.said);
        assert_eq!(hashed.body.trim_ascii_end(), sha256(&pattern(LONG)).as_bytes(), "chunked: {chunked}");
    }
    expect(&upload(&site, LONG, false).fetch("/echo"), LONG, "there and back");
    site.finish();
}

fn upload(site: &Site, length: u64, chunked: bool) -> Curl<'_> {
    let file = site.directory().join(format!("upload-{length}"));
    if !file.exists() {
        fs::write(&file, pattern(length)).expect("the file can be written");
    }
    let file = format!("@{}", file.display());
    let curl = Curl::new(site).args(["--data-binary", &file, "-H", "Content-Type: application/octet-stream"]);
    if chunked { curl.args(["-H", "Transfer-Encoding: chunked"]) } else { curl }
}

/// nginx as a backend: files, a body without length, and uploads in both framings.
#[test]
fn nginx() {
    let site = Site::new();
    let (_nginx, files) = start_nginx(&site);
    for length in SIZES.into_iter().chain([LONG]) {
        let file = files.join(format!("nginx/{length}"));
        fs::write(&file, pattern(length)).unwrap();
        let path = format!("/nginx/{length}");
        expect(&Curl::new(&site).fetch(&path), length, &path);
        fs::remove_file(&file).unwrap();

        // Filtered bodies have lost their length.
        let path = format!("/nginx/filtered/{length}");
        fs::write(files.join(format!("nginx/filtered/{length}")), pattern(length)).unwrap();
        let fetched = Curl::new(&site).fetch(&path);
        expect(&fetched, length, &path);
        if length > 0 {
            assert_eq!(fetched.field("Transfer-Encoding"), Some("chunked"), "{path}");
        }

        for chunked in [false, true] {
            let put = upload(&site, length, chunked).args(["--request", "PUT"]).fetch("/nginx/stored");
            assert!(matches!(put.status, 201 | 204), "{length} {chunked}: {}", put.said);
            let stored = fs::read(files.join("nginx/stored")).unwrap();
            assert_eq!(sha256(&stored), sha256(&pattern(length)), "{length} {chunked}");
        }
    }
    let partial = Curl::new(&site).args(["--range", "10-19"]).fetch("/nginx/stored");
    assert_eq!((partial.status, partial.body.as_slice()), (206, &pattern(20)[10..]));
    assert_eq!(Curl::new(&site).fetch("/nginx/nothing").status, 404);
    site.finish();
}

/// nginx at port 8081 of the origin, and the directory of its files.
fn start_nginx(site: &Site) -> (Process, PathBuf) {
    let files = site.directory().join("nginx-files");
    fs::create_dir_all(files.join("nginx/filtered")).unwrap();
    let directory = site.directory().display().to_string();
    let text = NGINX.replace("DIRECTORY", &directory);
    let file = site.directory().join("nginx.conf");
    fs::write(&file, text).unwrap();
    let mut command = site.network().origin().command("/usr/sbin/nginx");
    command.arg("-p").arg(site.directory()).arg("-c").arg(&file);
    let nginx = Process::start("nginx", command, site.directory());
    let address = std::net::SocketAddr::from((levee_tests::ORIGIN, 8081));
    wait_for("nginx to listen", std::time::Duration::from_secs(10), || {
        site.network().origin().reaches(address).then_some(())
    });
    (nginx, files)
}

const NGINX: &str = "
user root;
daemon off;
worker_processes 1;
pid DIRECTORY/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path DIRECTORY/nginx-body;
  proxy_temp_path DIRECTORY/nginx-proxy;
  fastcgi_temp_path DIRECTORY/nginx-fastcgi;
  uwsgi_temp_path DIRECTORY/nginx-uwsgi;
  scgi_temp_path DIRECTORY/nginx-scgi;
  client_max_body_size 1g;
  sendfile on;
  server {
    listen 10.9.2.2:8081;
    root DIRECTORY/nginx-files;
    dav_methods PUT DELETE;
    location /nginx/filtered/ {
      sub_filter_types *;
      sub_filter 'no such words' '';
    }
  }
}
";

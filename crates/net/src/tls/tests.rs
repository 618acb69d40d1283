//! Handshakes over real sockets.

use flb_plugin::keys::Table;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use flb_harness::net::{Identity, block_on};
use flb_harness::{build_with, options};

fn server(given: &[(&str, &str)]) -> Result<Option<ServerTls>, BuildError> {
    build_with(&options(Table(&[KEYS, SERVER]), given), ServerTls::new)
}

fn client(given: &[(&str, &str)]) -> Result<Option<ClientTls>, BuildError> {
    build_with(&options(Table(&[KEYS, CLIENT]), given), ClientTls::new)
}

/// A client that calls `host` sends a byte; what became of it on its side.
fn shake(
    server_options: &[(&str, &str)],
    client_options: &[(&str, &str)],
    host: &str,
) -> Result<(), String> {
    let server = server(&[&[("tls", "on")], server_options].concat()).unwrap().unwrap();
    let client = client(&[&[("tls", "on")], client_options].concat()).unwrap().unwrap();
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = server.accept(Box::new(stream)).await else { return };
            let mut byte = [0];
            if stream.read(&mut byte).await.is_ok_and(|length| length == 1) {
                stream.write_all(&byte).await.unwrap();
            }
            let _ = stream.shutdown().await;
        };
        let call = async {
            let stream = Box::new(TcpStream::connect(address).await.unwrap());
            let mut stream = client.connect(host, stream).await.map_err(|e| e.to_string())?;
            let mut byte = [0];
            stream.write_all(b"x").await.map_err(|e| e.to_string())?;
            match stream.read(&mut byte).await {
                Ok(1) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        };
        tokio::join!(serve, call).1
    })
}

#[test]
fn a_client_trusts_whom_it_is_told_to() {
    let (one, other) = (Identity::new(), Identity::new());
    let server = [("tls.crt_file", one.certificate()), ("tls.key_file", one.key())];
    let trust = ("tls.ca_file", one.certificate());
    let check = |given: &[(&str, &str)], host: &str, words: Option<&str>| {
        let shaken = shake(&server, given, host);
        match (&shaken, words) {
            (Ok(()), None) => {}
            (Err(error), Some(words)) if error.contains(words) => {}
            _ => panic!("{given:?} {host}: {shaken:?}"),
        }
    };
    check(&[trust], "localhost", None);
    check(&[trust, ("tls.max_version", "TLSv1.2")], "localhost", None);
    check(&[trust], "elsewhere", Some("tls.verify_hostname off"));
    check(&[trust, ("tls.vhost", "localhost")], "elsewhere", None);
    check(&[trust, ("tls.verify_hostname", "off")], "elsewhere", None);
    let stranger = ("tls.ca_file", other.certificate());
    check(&[stranger], "localhost", Some("invalid peer certificate"));
    check(&[stranger, ("tls.verify_hostname", "off")], "x", Some("invalid peer certificate"));
    check(&[("tls.verify", "off")], "elsewhere", None);
}

#[test]
fn a_server_can_ask_for_a_certificate() {
    let (one, friend) = (Identity::new(), Identity::new());
    let server = [
        ("tls.crt_file", one.certificate()),
        ("tls.key_file", one.key()),
        ("tls.verify_client_cert", "on"),
        ("tls.ca_file", friend.certificate()),
    ];
    let trust = ("tls.ca_file", one.certificate());
    let own = [("tls.crt_file", friend.certificate()), ("tls.key_file", friend.key())];
    assert!(shake(&server, &[trust, own[0], own[1]], "localhost").is_ok());
    assert!(shake(&server, &[trust], "localhost").is_err());
}

#[test]
fn wrong_settings_are_refused() {
    let identity = Identity::new();
    let (certificate, key) = (identity.certificate(), identity.key());
    let refused = |given: &[(&str, &str)], words: &str| {
        let given = [&[("tls", "on"), ("tls.debug", "1")], given].concat();
        let error = server(&given).err().unwrap();
        assert!(error.to_string().contains(words), "{error}");
    };
    refused(&[], "no certificate to show");
    refused(&[("tls.crt_file", certificate)], "needs tls.key_file");
    refused(&[("tls.key_file", key)], "needs tls.crt_file");
    refused(&[("tls.crt_file", "nowhere"), ("tls.key_file", key)], "nowhere");
    refused(&[("tls.crt_file", key), ("tls.key_file", key)], "no certificate in it");
    refused(&[("tls.crt_file", certificate), ("tls.key_file", certificate)], "no private key");
    let both = [("tls.crt_file", certificate), ("tls.key_file", key)];
    refused(&[both[0], both[1], ("tls.key_passwd", "x")], "encrypted keys");
    refused(&[both[0], both[1], ("tls.min_version", "SSLv3")], "no version of TLS");
    let crossed = [("tls.min_version", "TLSv1.3"), ("tls.max_version", "1.2")];
    refused(&[both[0], both[1], crossed[0], crossed[1]], "above");
    assert!(server(&[("tls", "off")]).unwrap().is_none());
    assert!(client(&[]).unwrap().is_none());
    assert!(client(&[("tls", "on"), ("tls.ca_file", key)]).is_err());
}

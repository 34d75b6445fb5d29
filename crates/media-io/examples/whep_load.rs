//! Many viewers of one camera: `whep_load --url http://HOST:PORT/…/whep --viewers N [OPTION VALUE …]`.
//!
//! Prints one JSON object (`media_io::whep_load::Report`). Options: `--bearer TOKEN`, `--seconds S` (the window, 20),
//! `--joins-per-second J` (50), `--stalled N`, `--hostile N`, `--audio yes`, `--nack no`, `--lose-percent P`,
//! `--trains yes` (UDP_GRO), `--server-pid PID` (its CPU time and memory), `--afterwards-seconds A` (10).

use media_io::whep_load::{LoadOptions, run};
use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

fn options(arguments: &[String]) -> Result<LoadOptions, Box<dyn Error>> {
    let mut options = LoadOptions {
        url: "http://127.0.0.1/".parse()?,
        bearer: None,
        viewers: 1,
        stalled: 0,
        hostile: 0,
        joins_per_second: 50.0,
        window: Duration::from_secs(20),
        audio: false,
        nack: true,
        lose_percent: 0.0,
        trains: false,
        server_pid: None,
        afterwards: Duration::from_secs(10),
    };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else {
            return Err(format!("{} lacks its value", pair[0]).into());
        };
        match name.as_str() {
            "--url" => options.url = value.parse()?,
            "--bearer" => options.bearer = Some(value.clone()),
            "--viewers" => options.viewers = value.parse()?,
            "--stalled" => options.stalled = value.parse()?,
            "--hostile" => options.hostile = value.parse()?,
            "--joins-per-second" => options.joins_per_second = positive(name, value)?,
            "--seconds" => options.window = Duration::from_secs_f64(positive(name, value)?),
            "--audio" => options.audio = value == "yes",
            "--nack" => options.nack = value == "yes",
            "--lose-percent" => options.lose_percent = value.parse()?,
            "--trains" => options.trains = value == "yes",
            "--server-pid" => options.server_pid = Some(value.parse()?),
            "--afterwards-seconds" => options.afterwards = Duration::from_secs_f64(positive(name, value)?),
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(options)
}

fn positive(name: &str, value: &str) -> Result<f64, Box<dyn Error>> {
    let number = f64::from_str(value)?;
    if number > 0.0 && number.is_finite() {
        return Ok(number);
    }
    Err(format!("{name} must be positive, not {value}").into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let report = run(options(&arguments)?)?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
